//! How soon somebody answers again after the proxy was killed.

use std::time::{Duration, Instant};

use nd_e2e::{Target, get, until};
use rustix::process::Signal;

use super::super::stage::{LIMIT, pass};
use super::super::{Figure, Report, median, ms, step};
use super::rival::Ours;
use crate::Result;

const BAR_MS: f64 = 200.0;
/// One that ends sooner after its start is started again with pauses.
const STEADY: Duration = Duration::from_millis(1200);

/// SIGKILL to the process that serves.
pub(super) fn of_the_worker(ours: &Ours, rounds: usize, report: &mut Report) -> Result {
    step(&format!("{rounds} kills of the proxy's worker"));
    let (load, mut took) = (ours.load(), Vec::new());
    for _ in 0..rounds {
        pass(STEADY)?;
        let worker = ours.worker().ok_or("there is no worker")?;
        let begun = Instant::now();
        nd_e2e::kill(worker, Signal::KILL);
        let target = Target::Tcp(load.http);
        let serves = || get(&target, load.host, "/").is_ok_and(|answer| answer.status == 200);
        until("an answer of another worker", LIMIT, || ours.worker() != Some(worker) && serves())?;
        took.push(ms(begun.elapsed()));
    }
    report.add(Figure::new("proxy: killed, to the next answer", median(took), "ms").at_most(BAR_MS));
    Ok(())
}
