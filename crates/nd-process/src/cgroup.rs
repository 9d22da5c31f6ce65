//! Control groups (cgroups(7)), version 2 where its controllers are, else version 1: limits of a whole unit, and the
//! count of what the kernel killed in it for memory.

mod places;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::limits::Limits;
pub(crate) use places::{Controller, Place, Places};

/// Of what time a share of CPU is taken: 100 ms, the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// The groups of one unit: one with version 2, one for each controller with version 1.
#[derive(Debug)]
pub(crate) struct Group {
    /// Each with the place it was made in.
    groups: Vec<(PathBuf, Place)>,
    /// What the kernel had killed in it before.
    killed_before: u64,
}

impl Group {
    /// Makes the groups that `limits` need, or takes those that a killed shim has left. What has no place here is left
    /// out: [`Places`] says what.
    ///
    /// # Errors
    /// When a limit is refused.
    pub(crate) fn make(places: &Places, name: &str, limits: &Limits) -> io::Result<Self> {
        let mut groups: Vec<(PathBuf, Place)> = Vec::new();
        for (controller, place) in places.wanted(limits) {
            let dir = place.dir.join(name);
            make_dir(&dir)?;
            for (file, value) in settings(controller, place.unified, limits) {
                write(&dir.join(file), &value)?;
            }
            if controller == Controller::Memory {
                no_swap(&dir, place.unified, limits);
            }
            if limits.pids.is_none() {
                // One that was being killed may have been left behind; only version 2 has the file here.
                write(&dir.join("pids.max"), "max").ok();
            }
            if !groups.iter().any(|(known, _)| *known == dir) {
                groups.push((dir, place.clone()));
            }
        }
        let mut group = Self { groups, killed_before: 0 };
        group.killed_before = group.killed();
        Ok(group)
    }

    /// The groups of this name that a killed shim may have left.
    pub(crate) fn left_by(places: &Places, name: &str) -> Self {
        let mut groups: Vec<(PathBuf, Place)> =
            places.all().map(|place| (place.dir.join(name), place.clone())).collect();
        groups.retain(|(dir, _)| dir.is_dir());
        Self { groups, killed_before: 0 }
    }

    /// Runs `action` inside: what it starts begins there. The calling process, which must have one thread, is back outside
    /// afterwards.
    ///
    /// # Errors
    /// When the process may not go in, or not back.
    pub(crate) fn within<T>(&self, action: impl FnOnce() -> T) -> io::Result<T> {
        let enter = |dir: &Path| write(&dir.join("cgroup.procs"), &std::process::id().to_string());
        let entered = self.groups.iter().try_for_each(|(dir, _)| enter(dir));
        let done = entered.map(|()| action());
        for (_, place) in &self.groups {
            enter(&place.home)?;
        }
        done
    }

    /// Whether the kernel has killed something in it for memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.killed() > self.killed_before
    }

    /// Lets nothing new begin, and kills what is there where the kernel can do that at once.
    pub(crate) fn kill(&self) {
        for (dir, _) in &self.groups {
            // Each is there or not, by version and controller; whoever calls kills one by one as well.
            write(&dir.join("cgroup.kill"), "1").ok();
            write(&dir.join("pids.max"), "0").ok();
        }
    }

    /// Removes the groups; one that still holds a process that hangs stays.
    pub(crate) fn remove(&self) {
        for (dir, _) in &self.groups {
            fs::remove_dir(dir).ok();
        }
    }

    fn killed(&self) -> u64 {
        let counts = self.groups.iter().filter_map(|(dir, _)| {
            let file = ["memory.events", "memory.oom_control"].map(|file| dir.join(file));
            let text = file.iter().find_map(|file| fs::read_to_string(file).ok())?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        });
        counts.sum()
    }
}

/// A unit's name among the groups of all daemons: `dir` is its directory, which no two units share.
pub(crate) fn name(unit: &nd_types::UnitId, dir: &Path) -> String {
    use std::hash::Hasher;
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(dir.as_os_str().as_encoded_bytes());
    format!("{unit}-{:08x}", hash.finish() & 0xffff_ffff)
}

fn settings(controller: Controller, unified: bool, limits: &Limits) -> Vec<(&'static str, String)> {
    let text = |value: Option<u64>| value.map(|value| value.to_string());
    let quota = limits.cpu_millis.map(|millis| u64::from(millis) * CPU_PERIOD_US / 1000);
    let quota = quota.map(|quota| quota.max(1000));
    let all: Vec<(&'static str, Option<String>)> = match (controller, unified) {
        (Controller::Memory, true) => vec![("memory.max", text(limits.memory_bytes))],
        (Controller::Memory, false) => vec![("memory.limit_in_bytes", text(limits.memory_bytes))],
        (Controller::Cpu, true) => vec![("cpu.max", quota.map(|quota| format!("{quota} {CPU_PERIOD_US}")))],
        (Controller::Cpu, false) => {
            vec![("cpu.cfs_period_us", Some(CPU_PERIOD_US.to_string())), ("cpu.cfs_quota_us", text(quota))]
        }
        (Controller::Pids, _) => vec![("pids.max", text(limits.pids.map(u64::from)))],
    };
    all.into_iter().filter_map(|(file, value)| Some((file, value?))).collect()
}

/// A limit of memory that goes on in swap is none. Kernels without swap accounting have no such file.
fn no_swap(dir: &Path, unified: bool, limits: &Limits) {
    match (unified, limits.memory_bytes) {
        (true, Some(_)) => write(&dir.join("memory.swap.max"), "0").ok(),
        (false, Some(bytes)) => write(&dir.join("memory.memsw.limit_in_bytes"), &bytes.to_string()).ok(),
        (_, None) => None,
    };
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The files of a group are there or not, and are never made by writing to them.
fn write(file: &Path, value: &str) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("write {value} to {}: {error}", file.display()))
    };
    let mut options = fs::OpenOptions::new();
    let mut opened = options.write(true).open(file).map_err(named)?;
    loop {
        match io::Write::write_all(&mut opened, value.as_bytes()) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INTR) => {}
            written => return written.map_err(named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_cpu_is_a_quota_of_its_period() {
        let limits = Limits { cpu_millis: Some(1500), pids: Some(7), memory_bytes: Some(1 << 20) };
        assert_eq!(settings(Controller::Cpu, true, &limits), [("cpu.max", "150000 100000".to_owned())]);
        assert_eq!(settings(Controller::Cpu, false, &limits)[1], ("cpu.cfs_quota_us", "150000".to_owned()));
        assert_eq!(settings(Controller::Pids, true, &limits), [("pids.max", "7".to_owned())]);
        assert_eq!(settings(Controller::Memory, false, &limits)[0].1, "1048576");
        // The kernel takes no less than a millisecond.
        let least = Limits { cpu_millis: Some(1), ..Limits::default() };
        assert_eq!(settings(Controller::Cpu, true, &least), [("cpu.max", "1000 100000".to_owned())]);
    }
}
