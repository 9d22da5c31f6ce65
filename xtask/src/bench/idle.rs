//! A daemon with many apps and nothing to do, beside PM2 with as many.

use std::time::Duration;

use nd_e2e::{Daemon, Options, cpu_time, resident_bytes};

use super::stage::{Workload, deploy, pass};
use super::{Bench, Figure, Report, median, peers, step};
use crate::Result;

/// Groups of apps, with the most that the daemon may need for them: MiB, and percent of a core.
const GROUPS: [(usize, f64, f64); 2] = [(20, 30.0, 0.3), (50, 40.0, 0.5)];
/// The most that the shim of an app may need, in MiB.
const SHIM_MIB: f64 = 2.0;
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(30);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    GROUPS.into_iter().try_for_each(|group| group_of(bench, report, group))
}

fn group_of(bench: &Bench, report: &mut Report, (apps, most_mib, most_percent): (usize, f64, f64)) -> Result {
    step(&format!("an idle daemon with {apps} apps, for {} s", WATCH.as_secs()));
    let daemon = Daemon::start(&bench.programs, Options::default())?;
    for app in 0..apps {
        deploy(&daemon, &format!("app-{app}"), Workload::Program(&bench.programs.testapp))?;
    }
    let pm2 = peers::pm2(bench);
    if let Some(pm2) = &pm2 {
        pm2.start_many(apps, &bench.programs.testapp)?;
    }
    pass(SETTLE)?;
    let ours = Idle::begin(daemon.pid().ok_or("the daemon is gone")?)?;
    let theirs = pm2.as_ref().map(|pm2| Idle::begin(pm2.pid()?)).transpose()?;
    pass(WATCH)?;
    let shims: Vec<f64> = daemon.shims().into_iter().filter_map(share).map(mib).collect();
    let (ours, theirs) = (ours.end()?, theirs.map(|theirs| theirs.end()).transpose()?);
    let add = |report: &mut Report, figure: Figure, theirs: Option<f64>| {
        report.add(match theirs {
            Some(theirs) => figure.beside("PM2's daemon:", theirs),
            None => figure,
        });
    };
    let memory = Figure::new(format!("idle: resident memory with {apps} apps"), ours.resident, "MiB");
    add(report, memory.at_most(most_mib), theirs.as_ref().map(|theirs| theirs.resident));
    let cpu = Figure::new(format!("idle: CPU with {apps} apps"), ours.percent, "% core");
    add(report, cpu.at_most(most_percent), theirs.as_ref().map(|theirs| theirs.percent));
    let all = ours.share + shims.iter().sum::<f64>();
    let all = Figure::new(format!("idle: daemon and {apps} shims, share of memory"), all, "MiB");
    add(report, all, theirs.as_ref().map(|theirs| theirs.share));
    let largest = shims.iter().copied().fold(0.0, f64::max);
    report.add(Figure::new("idle: a shim's share of memory, median", median(shims), "MiB").at_most(SHIM_MIB));
    report.add(Figure::new("idle: a shim's share of memory, largest", largest, "MiB").at_most(SHIM_MIB));
    Ok(())
}

/// A process that is watched.
struct Idle {
    pid: i32,
    before: Duration,
}

/// What it needed: memory in MiB, CPU in percent of a core.
struct Needed {
    resident: f64,
    share: f64,
    percent: f64,
}

impl Idle {
    fn begin(pid: i32) -> Result<Self> {
        Ok(Self { pid, before: cpu_time(pid).ok_or("the daemon is gone")? })
    }

    fn end(&self) -> Result<Needed> {
        let gone = "the daemon is gone";
        let used = cpu_time(self.pid).ok_or(gone)? - self.before;
        Ok(Needed {
            resident: mib(resident_bytes(self.pid).ok_or(gone)?),
            share: mib(share(self.pid).ok_or(gone)?),
            percent: used.as_secs_f64() / WATCH.as_secs_f64() * 100.0,
        })
    }
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
