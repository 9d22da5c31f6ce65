//! A daemon with twenty apps and nothing to do.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Options, Programs, cpu_time, resident_bytes, until};

use super::stage::{LIMIT, Workload, deploy};
use super::{Figure, step};
use crate::Result;

const APPS: usize = 20;
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(30);

pub(super) fn measure(programs: &Programs) -> Result<Vec<Figure>> {
    step(&format!("an idle daemon with {APPS} apps, for {} s", WATCH.as_secs()));
    let daemon = Daemon::start(programs, Options::default())?;
    for app in 0..APPS {
        deploy(&daemon, &format!("app-{app}"), Workload::Program(&programs.testapp))?;
    }
    let pid = daemon.pid().ok_or("the daemon is gone")?;
    pass(SETTLE)?;
    let before = cpu_time(pid).ok_or("the daemon is gone")?;
    pass(WATCH)?;
    let used = cpu_time(pid).ok_or("the daemon is gone")? - before;
    let resident = resident_bytes(pid).ok_or("the daemon is gone")?;
    Ok(vec![
        Figure::new("idle: resident memory with 20 apps", resident as f64 / f64::from(1 << 20), "MiB")
            .at_most(30.0),
        Figure::new("idle: CPU", used.as_secs_f64() / WATCH.as_secs_f64() * 100.0, "% core").at_most(0.3),
    ])
}

fn pass(time: Duration) -> Result {
    let begun = Instant::now();
    until("time", LIMIT, || begun.elapsed() >= time)?;
    Ok(())
}
