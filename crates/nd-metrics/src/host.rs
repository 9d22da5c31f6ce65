//! The host's own figures.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sysinfo::{Networks, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::pressure::{self, Pressure};
use crate::zombies;

/// How old a sample may be before the host is asked again.
const FRESH: Duration = Duration::from_secs(1);

/// The host at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSample {
    /// Processor use in percent of all cores, since the sample before; 0 in the first one.
    pub cpu_percent: f64,
    /// Processors.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_total_bytes: u64,
    /// Memory that is not available to programs, in bytes.
    pub memory_used_bytes: u64,
    /// Disk under the data directory in bytes.
    pub disk_total_bytes: u64,
    /// Disk that is not available to this user, in bytes.
    pub disk_used_bytes: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Since the host started.
    pub uptime: Duration,
    /// Bytes received on all interfaces but loopback since the host started.
    pub received_bytes: u64,
    /// Bytes sent on all interfaces but loopback since the host started.
    pub sent_bytes: u64,
    /// Resident memory of this process in bytes.
    pub rss_bytes: u64,
    /// How long work waits for a resource; nothing where the kernel does not measure that.
    pub pressure: Option<Pressure>,
    /// Processes that have ended and whose parents have not asked how.
    pub zombies: u32,
}

impl HostSample {
    /// Memory in use, in percent.
    #[must_use]
    pub fn memory_percent(&self) -> f64 {
        percent(self.memory_used_bytes, self.memory_total_bytes)
    }

    /// Disk in use, in percent.
    #[must_use]
    pub fn disk_percent(&self) -> f64 {
        percent(self.disk_used_bytes, self.disk_total_bytes)
    }
}

/// Samples the host. Cheap to clone.
#[derive(Clone)]
pub struct HostMetrics {
    sampler: Arc<Mutex<Sampler>>,
}

struct Sampler {
    /// Absent where the system cannot be asked.
    system: Option<System>,
    disk: PathBuf,
    last: Option<(Instant, HostSample)>,
}

impl HostMetrics {
    /// Samples the host, and the disk that holds `data_dir`.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            sampler: Arc::new(Mutex::new(Sampler { system: System::new().ok(), disk: data_dir, last: None })),
        }
    }

    /// The host as it is now, or was at most a second ago. Figures that the system refuses are 0.
    pub async fn sample(&self) -> HostSample {
        let sampler = Arc::clone(&self.sampler);
        let sampled = nd_supervise::blocking("sample the host", move || sampler.lock().sample()).await;
        sampled.unwrap_or_default()
    }
}

impl Sampler {
    fn sample(&mut self) -> HostSample {
        if let Some((at, sample)) = &self.last
            && at.elapsed() < FRESH
        {
            return sample.clone();
        }
        let (disk_total_bytes, disk_used_bytes) = self.disk();
        let (received_bytes, sent_bytes) = network();
        let load = System::load_average().map(|load| [load.one, load.five, load.fifteen]).unwrap_or_default();
        let first = self.last.is_none();
        let mut sample = HostSample {
            disk_total_bytes,
            disk_used_bytes,
            load,
            uptime: Duration::from_secs(System::uptime().unwrap_or_default()),
            received_bytes,
            sent_bytes,
            pressure: pressure::read(),
            zombies: zombies::count(),
            ..HostSample::default()
        };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            sample.cpus = system.cpus().len();
            sample.cpu_percent = if first { 0.0 } else { f64::from(system.global_cpu_usage()) };
            sample.memory_total_bytes = system.total_memory();
            sample.memory_used_bytes = system.total_memory().saturating_sub(system.available_memory());
            sample.rss_bytes = own_memory(system);
        }
        self.last = Some((Instant::now(), sample.clone()));
        sample
    }

    fn disk(&self) -> (u64, u64) {
        let Ok(disk) = rustix::fs::statvfs(&self.disk) else { return (0, 0) };
        let total = disk.f_blocks.saturating_mul(disk.f_frsize);
        (total, total.saturating_sub(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }
}

fn own_memory(system: &mut System) -> u64 {
    let Ok(pid) = sysinfo::get_current_pid() else { return 0 };
    let kind = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
    system.process(pid).map_or(0, sysinfo::Process::memory)
}

fn network() -> (u64, u64) {
    let Ok(networks) = Networks::new_with_refreshed_list() else { return (0, 0) };
    let real = networks.iter().filter(|(name, _)| name.as_os_str() != "lo");
    real.fold((0, 0), |(received, sent), (_, data)| {
        (received + data.total_received(), sent + data.total_transmitted())
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sample_of_this_host_is_plausible() {
        let sample = HostMetrics::new(PathBuf::from("/")).sample().await;
        assert!(sample.cpus > 0 && sample.memory_total_bytes > 0 && sample.rss_bytes > 0, "{sample:?}");
        assert!(sample.memory_percent() > 0.0 && sample.memory_percent() <= 100.0, "{sample:?}");
        assert!(sample.disk_percent() > 0.0 && sample.disk_percent() <= 100.0, "{sample:?}");
    }

    #[tokio::test]
    async fn a_fresh_sample_is_not_taken_twice() {
        let host = HostMetrics::new(PathBuf::from("/"));
        assert_eq!(host.sample().await, host.sample().await);
    }
}
