//! One unit of the fake runtime.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use nd_core::ports::{LogCursor, LogPiece, Socket, UnitObserved, UnitStatus};
use nd_core::spec::AppSpec;
use nd_types::{DaemonId, ExitStatus, Timestamp, UnitId};
use tokio::time::Instant;

use crate::fake::behaviour::Behaviour;

/// The port of a container nobody gave one.
const USUAL: NonZeroU16 = NonZeroU16::new(3000).unwrap();

pub(super) struct Unit {
    pub(super) origin: Origin,
    pub(super) behaviour: Behaviour,
    pub(super) status: UnitStatus,
    pub(super) starts: u32,
    pub(super) lines: Vec<LogPiece>,
    pub(super) memory: Option<u64>,
    name: String,
    runs: String,
    port: Port,
    ip: Option<IpAddr>,
    pid: Option<u32>,
    /// When it last started, in the time that listeners and health checks go by.
    since: Option<Instant>,
}

/// Who made a unit.
pub(super) enum Origin {
    /// This daemon.
    Ours(DaemonId),
    /// Somebody who put our label on it, and no daemon's id.
    Unclaimed(Box<AppSpec>),
}

/// Which port a unit is told to listen on.
#[derive(Clone, Copy)]
pub(super) enum Port {
    /// One of its own address.
    Own(Option<NonZeroU16>),
    /// One of the host's.
    Leased(NonZeroU16),
}

impl Origin {
    pub(super) fn concerns(&self, daemon: &DaemonId) -> bool {
        match self {
            Self::Ours(owner) => owner == daemon,
            Self::Unclaimed(_) => true,
        }
    }
}

impl Unit {
    pub(super) fn new(id: &UnitId, origin: Origin, spec: &AppSpec, behaviour: Behaviour, port: Port) -> Self {
        Self {
            origin,
            behaviour,
            status: UnitStatus::Created,
            starts: 0,
            lines: Vec::new(),
            memory: spec.resources.memory.map(|memory| memory.0),
            name: id.to_string(),
            runs: spec.workload.to_string(),
            port,
            ip: None,
            pid: None,
            since: None,
        }
    }

    /// `number` makes its address and its pid.
    pub(super) fn start(&mut self, number: u16, now: Timestamp) {
        let [high, low] = number.to_be_bytes();
        self.ip = Some(match self.port {
            Port::Own(_) => Ipv4Addr::new(10, 88, high, low).into(),
            Port::Leased(_) => Ipv4Addr::LOCALHOST.into(),
        });
        self.pid = Some(u32::from(number) + 1000);
        self.since = Some(Instant::now());
        self.starts += 1;
        self.status = UnitStatus::Running { since: now, healthy: None };
        for (stream, line) in self.behaviour.says.clone() {
            let at = self.lines.last().map_or(now, |last| now.max(after(last.at)));
            self.lines.push(LogPiece { at, stream, line: line.into_bytes() });
        }
    }

    pub(super) fn end(&mut self, exit: ExitStatus, now: Timestamp) {
        if let UnitStatus::Running { since, .. } = self.status {
            self.status = UnitStatus::Exited { exit, started: Some(since), finished: Some(now) };
        }
        (self.ip, self.pid, self.since) = (None, None, None);
    }

    /// Where it will be reachable from outside, and from when on; `None` while it is not running or never will be.
    pub(super) fn listener(&self) -> Option<(SocketAddr, Instant)> {
        let from = self.since? + self.behaviour.ready_after?;
        let inside = self.behaviour.loopback && matches!(self.port, Port::Own(_));
        Some((SocketAddr::new(self.ip?, self.listening_port().get()), from)).filter(|_| !inside)
    }

    pub(super) fn sockets(&self) -> Vec<Socket> {
        let open = self.since.zip(self.behaviour.ready_after).is_some_and(|(s, d)| s + d <= Instant::now());
        let ip = if self.behaviour.loopback { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        open.then(|| Socket { ip: ip.into(), port: self.listening_port() }).into_iter().collect()
    }

    fn listening_port(&self) -> NonZeroU16 {
        self.behaviour.listens.unwrap_or(match self.port {
            Port::Own(port) => port.unwrap_or(USUAL),
            Port::Leased(port) => port,
        })
    }

    /// The place of the first line a reader with this cursor wants.
    pub(super) fn first_line(&self, cursor: LogCursor) -> usize {
        match cursor {
            LogCursor::Start => 0,
            LogCursor::After(time) => self.lines.iter().take_while(|line| line.at <= time).count(),
            LogCursor::Tail(lines) => self.lines.len().saturating_sub(lines),
        }
    }

    pub(super) fn observed(&self, id: &UnitId) -> UnitObserved {
        let status = match &self.status {
            UnitStatus::Running { since, .. } => {
                let healthy = self.behaviour.healthy_after.map(|after| {
                    let age = self.since.map(|since| since.elapsed()).unwrap_or_default();
                    (age >= after).then_some(true)
                });
                UnitStatus::Running { since: *since, healthy: healthy.flatten() }
            }
            other => other.clone(),
        };
        let (daemon, adoptable) = match &self.origin {
            Origin::Ours(daemon) => (Some(daemon.clone()), None),
            Origin::Unclaimed(spec) => (None, Some(spec.clone())),
        };
        let ours = daemon.is_some();
        UnitObserved {
            id: Some(id.clone()),
            name: self.name.clone(),
            daemon,
            app: ours.then(|| id.app().to_string()),
            release: ours.then(|| id.release().clone()),
            status,
            ip: self.ip,
            port: match self.port {
                Port::Own(_) => None,
                Port::Leased(port) => Some(port),
            },
            exposed: self.behaviour.listens.into_iter().collect(),
            pid: self.pid,
            runs: self.runs.clone(),
            adoptable,
        }
    }
}

/// No two lines of a unit have the same time, so that a reader can go on after any of them.
fn after(time: Timestamp) -> Timestamp {
    time.saturating_add(Duration::from_nanos(1)).unwrap_or(time)
}
