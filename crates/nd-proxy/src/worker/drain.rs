//! Emptying units that have left the table.

use std::rc::Rc;
use std::time::Duration;

use nd_types::UnitId;
use tokio::time::{Instant, timeout, timeout_at};

use super::Worker;
use super::signal::{Kind, Signal};
use super::tunnel::SERVICE_RESTART;
use super::upstream::Upstream;

/// WebSockets are closed one after the other, so that their clients do not all come back at once …
const PER_SOCKET: Duration = Duration::from_millis(50);
/// … but within this time.
const LONGEST_SPREAD: Duration = Duration::from_secs(30);
/// What was cut needs no longer than this to end.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// How the work in flight on some units ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that finished by themselves.
    pub finished: u64,
    /// Requests and opaque tunnels that were cut at the deadline.
    pub cut: u64,
    /// WebSockets that ended with a Close frame, or by themselves.
    pub websockets_closed: u64,
    /// WebSockets that were cut at the deadline, because a frame was not finished or the client did not answer.
    pub websockets_cut: u64,
}

impl DrainReport {
    /// Adds another worker's share.
    pub(crate) fn add(&mut self, other: Self) {
        self.finished += other.finished;
        self.cut += other.cut;
        self.websockets_closed += other.websockets_closed;
        self.websockets_cut += other.websockets_cut;
    }
}

/// Waits until nothing is in flight on the units from this worker; at the deadline the rest is cut.
pub(crate) async fn run(worker: &Worker, units: &[UnitId], patience: Duration) -> DrainReport {
    let until = Instant::now() + patience;
    let targets = worker.upstreams_of(units);
    for target in &targets {
        target.draining.set(true);
    }
    let total: u64 = targets.iter().map(|target| u64::from(target.in_flight())).sum();
    let sockets = of_kind(worker.signals.to(&targets), Kind::WebSocket);
    say_goodbye(&sockets, worker.settings.worker_count(), patience);
    let total_sockets = sockets.len() as u64;
    let mut report = DrainReport {
        finished: total.saturating_sub(total_sockets),
        websockets_closed: total_sockets,
        ..DrainReport::default()
    };
    if timeout_at(until, all_quiet(&targets)).await.is_err() {
        let left = worker.signals.to(&targets);
        for signal in &left {
            signal.cut();
        }
        let (all, sockets) = (left.len() as u64, of_kind(left, Kind::WebSocket).len() as u64);
        report.cut = all - sockets;
        report.websockets_cut = sockets;
        report.finished = report.finished.saturating_sub(report.cut);
        report.websockets_closed = report.websockets_closed.saturating_sub(sockets);
        if timeout(AFTER_CUT, all_quiet(&targets)).await.is_err() {
            tracing::warn!(?units, "connections that were cut are still in flight");
        }
    }
    for target in &targets {
        target.draining.set(false);
    }
    report
}

/// Tells the WebSockets among these clients that the service restarts, one after the other.
pub(super) fn say_goodbye_to_sockets(worker: &Worker, clients: Vec<Rc<Signal>>, patience: Duration) {
    say_goodbye(&of_kind(clients, Kind::WebSocket), worker.settings.worker_count(), patience);
}

/// Spreads the goodbyes; each worker has its share of the clients.
fn say_goodbye(sockets: &[Rc<Signal>], workers: usize, patience: Duration) {
    let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
    let all = PER_SOCKET.saturating_mul(count).saturating_mul(u32::try_from(workers).unwrap_or(1));
    // The last client needs some time to answer, too.
    let spread = all.min(LONGEST_SPREAD).min(patience * 4 / 5);
    let now = Instant::now();
    for (position, signal) in (0..count).zip(sockets) {
        signal.say_goodbye(now + spread * position / count.max(1), SERVICE_RESTART);
    }
}

fn of_kind(mut signals: Vec<Rc<Signal>>, kind: Kind) -> Vec<Rc<Signal>> {
    signals.retain(|signal| signal.kind() == kind);
    signals
}

async fn all_quiet(targets: &[Rc<Upstream>]) {
    for target in targets {
        target.quiet().await;
    }
}
