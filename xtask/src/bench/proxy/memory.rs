//! What the proxy needs when nothing happens, after the load, and for each connection that waits.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nd_e2e::resident_bytes;

use super::super::stage::pass;
use super::super::{Figure, Report, step};
use super::load::Load;
use super::rival::Ours;
use crate::Result;

const IDLE_MIB: f64 = 16.0;
const LOADED_MIB: f64 = 32.0;
const CONNECTION_KIB: f64 = 48.0;
const WAKE_UPS: f64 = 2.0;

const CONNECTIONS: usize = 2_000;
const WATCH: Duration = Duration::from_secs(10);
/// The longest that an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Without a request: memory, and how often its threads wake; then with connections that ask nothing more.
pub(super) fn idle(ours: &Ours, report: &mut Report) -> Result {
    step(&format!("an idle proxy, for {} s", WATCH.as_secs()));
    let before = wake_ups(ours);
    pass(WATCH)?;
    let woken = (wake_ups(ours) - before) as f64 / WATCH.as_secs_f64();
    report.add(Figure::new("proxy: wake-ups a second, idle", woken, "/s").at_most(WAKE_UPS));
    let resident = resident(ours);
    report.add(Figure::new("proxy: resident memory, idle", resident / MIB, "MiB").at_most(IDLE_MIB));
    step(&format!("{CONNECTIONS} connections that wait"));
    let load = ours.load();
    let held = (0..CONNECTIONS).map(|_| served(&load)).collect::<Result<Vec<_>>>()?;
    let each = (self::resident(ours) - resident) / KIB / CONNECTIONS as f64;
    drop(held);
    report.add(Figure::new("proxy: a waiting connection", each, "KiB").at_most(CONNECTION_KIB));
    Ok(())
}

/// After all of the load.
pub(super) fn loaded(ours: &Ours, report: &mut Report) {
    let loaded = resident(ours) / MIB;
    report.add(Figure::new("proxy: resident memory, after the load", loaded, "MiB").at_most(LOADED_MIB));
}

const KIB: f64 = 1024.0;
const MIB: f64 = KIB * 1024.0;

fn resident(ours: &Ours) -> f64 {
    ours.proxy().into_iter().filter_map(resident_bytes).sum::<u64>() as f64
}

/// How often the threads of the proxy have gone to sleep and come back.
fn wake_ups(ours: &Ours) -> u64 {
    let of_task = |task: fs::DirEntry| -> Option<u64> {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse().ok()
    };
    let tasks = ours.proxy().into_iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    tasks.flatten().flatten().filter_map(of_task).sum()
}

/// A connection that has had an answer.
fn served(load: &Load) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(load.http)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", load.host).as_bytes())?;
    let mut answer = [0; 4096];
    match stream.read(&mut answer)? {
        0 => Err("the proxy closed a connection".into()),
        _ => Ok(stream),
    }
}
