//! One unit and the states it goes through.

use std::net::SocketAddr;
use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{ExitStatus, Timestamp};

use super::action::UnitAction;
use super::crash::CrashHistory;
use super::watch::Watch;
use crate::events::RestartReason;

/// What a unit is known to do. What is under way with it stands beside it, in [`Unit::in_flight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnitState {
    /// It does not exist.
    Absent,
    /// It exists and was never started.
    Created,
    /// It runs; whether it can serve is not known yet.
    Warming,
    /// It runs and can serve.
    Ready,
    /// It ended as asked, or has not been looked at since it ended.
    Stopped,
    /// It ended by itself.
    Crashed(ExitStatus),
}

/// What can happen to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitEvent {
    /// It was created.
    Created,
    /// It runs.
    Running,
    /// It can serve.
    Ready,
    /// It ended as asked.
    Stopped,
    /// It ended by itself.
    Exited(ExitStatus),
    /// It is gone.
    Gone,
}

/// An event that the state does not allow: a defect of ours, never a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a unit that is {state:?} cannot become {event:?}")]
pub struct IllegalEvent {
    /// The state the unit was in.
    pub state: UnitState,
    /// What was claimed to have happened.
    pub event: UnitEvent,
}

impl UnitState {
    /// The one transition function, for live events and for observations alike.
    ///
    /// # Errors
    /// [`IllegalEvent`] for what cannot have happened.
    pub fn next(self, event: UnitEvent) -> Result<Self, IllegalEvent> {
        Ok(match (self, event) {
            (_, UnitEvent::Gone) => Self::Absent,
            (Self::Absent | Self::Created, UnitEvent::Created) => Self::Created,
            (Self::Ready, UnitEvent::Running) => Self::Ready,
            (_, UnitEvent::Running) => Self::Warming,
            (Self::Warming | Self::Ready, UnitEvent::Ready) => Self::Ready,
            (Self::Created, UnitEvent::Stopped) => Self::Created,
            (Self::Absent, UnitEvent::Stopped | UnitEvent::Exited(_)) => Self::Stopped,
            (_, UnitEvent::Stopped) => Self::Stopped,
            (Self::Warming | Self::Ready | Self::Created, UnitEvent::Exited(exit)) => Self::Crashed(exit),
            (state @ (Self::Stopped | Self::Crashed(_)), UnitEvent::Exited(_)) => state,
            (state, event @ (UnitEvent::Created | UnitEvent::Ready)) => {
                return Err(IllegalEvent { state, event });
            }
        })
    }

    /// Whether the unit runs.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Warming | Self::Ready)
    }
}

/// One unit as its reconciler knows it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it does.
    pub state: UnitState,
    /// What is being done to it.
    pub in_flight: Option<UnitAction>,
    /// Where it can be reached; known once it is ready, absent for one that has no port.
    pub address: Option<SocketAddr>,
    /// Main process on the host.
    pub pid: Option<u32>,
    /// When it last started.
    pub started: Option<Timestamp>,
    /// The newest wish for a restart when we last started it: whatever the clocks say, that wish is fulfilled.
    pub started_for: Option<Timestamp>,
    /// When it last ended.
    pub finished: Option<Timestamp>,
    /// When its state was last learned.
    pub since: Timestamp,
    /// How often it crashed, and when it may start again.
    pub crashes: CrashHistory,
    /// How often it was started again.
    pub restarts: u32,
    /// What it has answered since it is ready.
    pub watch: Watch,
    /// Why it is to be started anew although it runs.
    pub due: Option<RestartReason>,
    /// Why it was stopped, when that was only to start it anew.
    pub ended_for: Option<RestartReason>,
    /// Whether the ingress has confirmed that nothing is in flight on it. Only means something while it is not routed.
    pub drained: bool,
    /// Whether its last start failed and may have had its effect all the same; until it is looked at.
    pub in_doubt: bool,
    /// Whether a look has seen it ended while something else was being done to it, whose report may be older.
    pub overlooked: bool,
    /// Not to be acted upon before this time, because the last action failed.
    pub not_before: Option<Mono>,
    /// How many actions failed in a row.
    pub failures: u32,
    /// The number of the last change; an observation that began before it says nothing about this unit.
    pub epoch: u64,
}

impl Unit {
    /// A unit that does not exist yet.
    #[must_use]
    pub fn absent(now: Timestamp) -> Self {
        Self {
            state: UnitState::Absent,
            in_flight: None,
            address: None,
            pid: None,
            started: None,
            started_for: None,
            finished: None,
            since: now,
            crashes: CrashHistory::default(),
            restarts: 0,
            watch: Watch::default(),
            due: None,
            ended_for: None,
            drained: true,
            in_doubt: false,
            overlooked: false,
            not_before: None,
            failures: 0,
            epoch: 0,
        }
    }

    /// Takes the event; one that cannot have happened leaves the unit as it was and is answered.
    pub fn on(&mut self, event: UnitEvent, now: Timestamp) -> Result<(), IllegalEvent> {
        let next = self.state.next(event)?;
        if next != self.state {
            self.state = next;
            self.since = now;
            self.watch = Watch::default();
        }
        if !next.is_running() {
            self.due = None;
            self.address = None;
            self.pid = None;
        }
        Ok(())
    }

    /// How long it had run at `end`.
    #[must_use]
    pub fn uptime(&self, end: Timestamp) -> Duration {
        let ran = |started: Timestamp| Duration::try_from(end.duration_since(started)).unwrap_or_default();
        self.started.map_or(Duration::ZERO, ran)
    }

    /// Whether it runs, or may run by now.
    #[must_use]
    pub fn may_run(&self) -> bool {
        self.state.is_running() || self.in_doubt || matches!(self.in_flight, Some(UnitAction::Start(_)))
    }

    /// Whether it is about to end, so that no request may be sent to it any more.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.in_flight, Some(UnitAction::Drain | UnitAction::Stop | UnitAction::Remove))
    }

    /// Whether requests may be sent to it.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        self.state == UnitState::Ready && !self.is_leaving() && !self.watch.is_out()
    }

    /// Whether it ended, and nothing more is tried for now.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.crashes.verdict().gives_up()
    }

    /// Whether nothing is being done to it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_ended_cannot_become_ready() {
        let state = UnitState::Crashed(ExitStatus::Code(1));
        assert!(state.next(UnitEvent::Ready).is_err());
        assert!(UnitState::Absent.next(UnitEvent::Ready).is_err());
    }

    #[test]
    fn an_exit_is_counted_once() {
        let crashed = UnitState::Ready.next(UnitEvent::Exited(ExitStatus::Code(1)));
        assert_eq!(crashed, Ok(UnitState::Crashed(ExitStatus::Code(1))));
        let again = crashed.and_then(|state| state.next(UnitEvent::Exited(ExitStatus::Code(1))));
        assert_eq!(again, Ok(UnitState::Crashed(ExitStatus::Code(1))));
        assert_eq!(UnitState::Stopped.next(UnitEvent::Exited(ExitStatus::Code(143))), Ok(UnitState::Stopped));
    }
}
