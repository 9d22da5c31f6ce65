//! A daemon with many apps and nothing to do.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Options, Programs, cpu_time, resident_bytes, until};

use super::pm2::Pm2;
use super::stage::{LIMIT, Workload, deploy};
use super::{Figure, median, step};
use crate::Result;

/// Groups of apps, with the most that the daemon may need for them: MiB, and percent of a core.
const GROUPS: [(usize, f64, f64); 2] = [(20, 30.0, 0.3), (50, 40.0, 0.5)];
/// The most that the shim of an app may need, in MiB.
const SHIM_MIB: f64 = 2.0;
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(30);

pub(super) fn measure(programs: &Programs) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (apps, most_mib, most_percent) in GROUPS {
        step(&format!("an idle daemon with {apps} apps, for {} s", WATCH.as_secs()));
        let daemon = Daemon::start(programs, Options::default())?;
        for app in 0..apps {
            deploy(&daemon, &format!("app-{app}"), Workload::Program(&programs.testapp))?;
        }
        let pid = daemon.pid().ok_or("the daemon is gone")?;
        pass(SETTLE)?;
        let before = cpu_time(pid).ok_or("the daemon is gone")?;
        pass(WATCH)?;
        let used = cpu_time(pid).ok_or("the daemon is gone")? - before;
        let resident = resident_bytes(pid).ok_or("the daemon is gone")?;
        let cpu = used.as_secs_f64() / WATCH.as_secs_f64() * 100.0;
        let memory = Figure::new(format!("idle: resident memory with {apps} apps"), mib(resident), "MiB");
        let memory = match beside_pm2(apps, programs)? {
            Some(theirs) => memory.beside("PM2's daemon:", mib(theirs)),
            None => memory,
        };
        figures.push(memory.at_most(most_mib));
        figures.push(Figure::new(format!("idle: CPU with {apps} apps"), cpu, "% core").at_most(most_percent));
        let shims: Vec<f64> = daemon.shims().into_iter().filter_map(share).map(mib).collect();
        figures.push(Figure::new("idle: a shim's share of memory", median(shims), "MiB").at_most(SHIM_MIB));
    }
    Ok(figures)
}

/// What PM2 keeps resident for as many apps, where it is installed.
fn beside_pm2(apps: usize, programs: &Programs) -> Result<Option<u64>> {
    let Some(pm2) = Pm2::find() else { return Ok(None) };
    pm2.start_many(apps, &programs.testapp)?;
    Ok(pm2.resident())
}

/// The memory of a process, with its share of what it has in common with others (proc(5), `smaps_rollup`, `Pss`).
fn share(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn pass(time: Duration) -> Result {
    let begun = Instant::now();
    until("time", LIMIT, || begun.elapsed() >= time)?;
    Ok(())
}
