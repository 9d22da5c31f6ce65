//! One unit as one worker sees it: its idle connections and the requests in flight on it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nd_types::{AppProtocol, Backend, UnitId};
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ejection::Record;
use super::exchange::End;
use super::sticky::Token;
use crate::http2::session::Sessions;
use crate::pages::Refusal;
use crate::stats::ReleaseCounters;

/// Idle connections kept to one unit by one worker.
const MAX_IDLE: usize = 128;
/// A unit that refused a connection is asked last for so long.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// A unit behind an address. It outlives the table that named it for as long as a request is in flight on it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) unit: UnitId,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: AppProtocol,
    /// What its clients know it by, where they stay with it.
    pub(crate) token: Token,
    /// Connections that carry many requests, where it speaks HTTP/2.
    pub(crate) sessions: Sessions,
    /// Of its release.
    pub(crate) traffic: Arc<ReleaseCounters>,
    /// How it has done lately.
    pub(crate) record: Record,
    /// The most recently used connection is last, and used first: the others may grow old.
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<u32>,
    refused_at: Cell<Option<Instant>>,
    /// No table names it any more.
    retired: Cell<bool>,
    /// Told when it retires.
    left: Notify,
    /// Since when it is being drained.
    pub(crate) draining: Cell<bool>,
    /// Told when nothing is in flight any more.
    quiet: Notify,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    since: Instant,
    keep: Duration,
}

impl Upstream {
    pub(crate) fn new(backend: &Backend, traffic: Arc<ReleaseCounters>) -> Rc<Self> {
        Rc::new(Self {
            unit: backend.unit.clone(),
            address: backend.address,
            protocol: backend.protocol,
            token: Token::of(&backend.unit),
            sessions: Sessions::default(),
            traffic,
            record: Record::default(),
            idle: RefCell::new(Vec::new()),
            in_flight: Cell::new(0),
            refused_at: Cell::new(None),
            retired: Cell::new(false),
            left: Notify::new(),
            draining: Cell::new(false),
            quiet: Notify::new(),
        })
    }

    /// Requests in flight on it from this worker.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// Whether no table names it any more, so that no further request may start on it.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Waits until no table names it any more.
    pub(crate) async fn retirement(&self) {
        // One thread: nothing happens between the look and the wait.
        while !self.is_retired() {
            self.left.notified().await;
        }
    }

    /// No table names it any more: its idle connections are closed.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.left.notify_waiters();
        self.idle.borrow_mut().clear();
        self.sessions.clear();
    }

    /// Remembers that it could not be reached.
    pub(crate) fn mark_refused(&self, now: Instant) {
        self.record.failed(now);
        self.refused_at.set(Some(now));
        self.idle.borrow_mut().clear();
    }

    /// Takes down how an attempt went: what the client does says nothing about the unit.
    pub(crate) fn judge(&self, end: &End, has_answered: bool) {
        match end {
            End::Done | End::Switched => self.record.succeeded(),
            _ if has_answered => {}
            End::Lost | End::Refused(Refusal::BadAnswer | Refusal::Slow) => {
                self.record.failed(Instant::now());
            }
            End::Refused(_) | End::ClientGone => {}
        }
    }

    /// Whether it could not be reached a moment ago.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused_at.get().is_some_and(|at| at.elapsed() < REFUSED_FOR)
    }

    /// An idle connection that is still open, as far as we have been told.
    pub(crate) fn take_idle(&self) -> Option<TcpStream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            if connection.since.elapsed() <= connection.keep && is_silent(&connection.stream) {
                return Some(connection.stream);
            }
        }
        None
    }

    /// An idle connection that was used within `max_idle` and is open at this moment.
    pub(crate) fn take_recent(&self, max_idle: Duration) -> Option<TcpStream> {
        let is_recent = self.idle.borrow().last().is_some_and(|newest| newest.since.elapsed() <= max_idle);
        if is_recent { self.take_idle().filter(is_silent_now) } else { None }
    }

    /// Keeps a connection for the next request, for at most `keep`.
    pub(crate) fn put_idle(&self, stream: TcpStream, keep: Duration) {
        let mut idle = self.idle.borrow_mut();
        if !self.retired.get() && idle.len() < MAX_IDLE {
            idle.push(Idle { stream, since: Instant::now(), keep });
        }
    }

    /// Closes connections that have been idle for too long; returns how many are left.
    pub(crate) fn sweep(&self) -> usize {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|connection| {
            connection.since.elapsed() < connection.keep && is_silent(&connection.stream)
        });
        idle.len()
    }

    /// Waits until nothing is in flight on it from this worker.
    pub(crate) async fn quiet(&self) {
        while self.in_flight.get() > 0 {
            self.quiet.notified().await;
        }
    }
}

/// An idle connection has nothing to say: bytes or an end mean that the app is done with it.
fn is_silent(stream: &TcpStream) -> bool {
    let mut byte = [0u8; 1];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// As [`is_silent`], but asks the system instead of relying on what it has reported.
fn is_silent_now(stream: &TcpStream) -> bool {
    let mut byte = [0u8; 1];
    let peeked = recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(error) if error == rustix::io::Errno::AGAIN)
}

/// A request in flight. Made in the same step that looks into the table, so that a unit that left the table and has no
/// request in flight will never get one again.
#[derive(Debug)]
pub(crate) struct InFlight(Rc<Upstream>);

impl InFlight {
    pub(crate) fn on(upstream: Rc<Upstream>) -> Self {
        upstream.in_flight.set(upstream.in_flight.get().saturating_add(1));
        Self(upstream)
    }

    pub(crate) fn upstream(&self) -> &Rc<Upstream> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get().saturating_sub(1);
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.quiet.notify_waiters();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tokio::net::TcpListener;

    pub(in super::super) fn upstream_of(unit: &str, address: SocketAddr) -> Rc<Upstream> {
        let unit: UnitId = unit.parse().unwrap();
        let traffic = Arc::new(ReleaseCounters::new(unit.release().clone(), 1));
        let backend = Backend { unit, address, started: None, protocol: AppProtocol::Http };
        Upstream::new(&backend, traffic)
    }

    fn upstream(address: SocketAddr) -> Rc<Upstream> {
        upstream_of("shop-aaaaaa-1", address)
    }

    async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(connect, listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn the_connection_used_last_is_used_first_and_closed_ones_never() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = upstream(listener.local_addr().unwrap());
        let long = Duration::from_secs(4);
        let ((a, _a_peer), (b, b_peer)) = (pair(&listener).await, pair(&listener).await);
        let (a_port, b_port) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        upstream.put_idle(a, long);
        upstream.put_idle(b, long);
        let b = upstream.take_idle().unwrap();
        assert_eq!(b.local_addr().unwrap(), b_port);
        upstream.put_idle(b, long);
        let b = upstream.take_recent(long).unwrap();
        assert_eq!(b.local_addr().unwrap(), b_port);
        drop(b_peer);
        upstream.put_idle(b, long);
        assert!(upstream.take_recent(Duration::ZERO).is_none() && upstream.take_recent(long).is_none());
        assert_eq!(upstream.take_idle().unwrap().local_addr().unwrap(), a_port);
    }

    #[tokio::test]
    async fn a_retired_unit_keeps_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = upstream(listener.local_addr().unwrap());
        let (a, _peer) = pair(&listener).await;
        upstream.retire();
        upstream.put_idle(a, Duration::from_secs(4));
        assert_eq!(upstream.sweep(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_its_retirement_is_told() {
        let upstream = upstream("127.0.0.1:1".parse().unwrap());
        tokio::join!(upstream.retirement(), async { upstream.retire() });
        upstream.retirement().await;
    }

    #[tokio::test]
    async fn a_unit_is_quiet_when_its_last_request_ends() {
        let upstream = upstream("127.0.0.1:1".parse().unwrap());
        let (first, second) = (InFlight::on(Rc::clone(&upstream)), InFlight::on(Rc::clone(&upstream)));
        drop(first);
        assert_eq!(upstream.in_flight(), 1);
        tokio::join!(upstream.quiet(), async { drop(second) });
        assert_eq!(upstream.in_flight(), 0);
    }
}
