//! Swaps under load: nothing may be lost, truncated or answered by the wrong version.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, until};

use super::stage::LIMIT;
use super::{Bench, Figure, Report, median, ms, step};
use crate::Result;

const BUSY: usize = 64;
const DOWNLOADS: usize = 32;
const SOCKETS: usize = 32;
const STREAMS: usize = 16;
const HTTP2: usize = 8;

/// Leaves the client's threads, which share the machine, room for the daemon.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    let (programs, swaps) = (&bench.programs, bench.swaps);
    step(&format!(
        "{swaps} swaps under {BUSY} connections, {DOWNLOADS} downloads, {SOCKETS} WebSockets, {STREAMS} uploads, \
         {STREAMS} event streams and {HTTP2} connections of HTTP/2"
    ));
    let daemon = Daemon::start(programs, Options::default())?;
    let url = daemon.deploy("shop", "r0", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["r0"]);
    load.requests(BUSY, PAUSE)?;
    load.downloads(DOWNLOADS)?;
    load.websockets(SOCKETS)?;
    load.uploads(STREAMS)?;
    load.event_streams(STREAMS)?;
    load.http2(HTTP2, PAUSE)?;
    further(&load)?;
    let mut times = Vec::new();
    for swap in 1..=swaps {
        let (old, new) = (format!("r{}", swap - 1), format!("r{swap}"));
        load.allow(&[&old, &new]);
        let begun = Instant::now();
        daemon.deploy("shop", &new, &[])?;
        let first = load.first_answer(&new).ok_or("the new version did not answer")?;
        times.push(ms(first.duration_since(begun)));
        load.allow(&[&new]);
        further(&load)?;
    }
    for failure in load.failures().iter().take(10) {
        step(failure);
    }
    let tally = load.stop();
    report.add(Figure::new("swap: requests sent", tally.sent as f64, ""));
    report.add(Figure::new("swap: failed, truncated or misrouted", tally.failed as f64, "").at_most(0.0));
    report.add(Figure::new("swap: command to first new answer", median(times), "ms"));
    Ok(())
}

fn further(load: &Load) -> Result {
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", LIMIT, || begun.elapsed() > Duration::from_millis(500) && load.tally().sent > before)?;
    Ok(())
}
