//! What a reconciler starts, and what comes back.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::{ExitStatus, Generation, ReleaseId, Timestamp, UnitId};

use crate::diagnosis::Diagnosis;
use crate::events::RestartReason;
use crate::ports::{AppTraffic, BindFault, DrainReport, PortErrorKind, Prepared, UnitObserved};
use crate::routes::AppRoutes;

/// Something to do. Each is idempotent: a daemon that was killed in the middle does it again.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Look at every unit of the app.
    Observe {
        /// The model's epoch when the look began.
        epoch: u64,
    },
    /// Make sure that units of the release can be created.
    Prepare(ReleaseId),
    /// Work on one unit.
    Unit(UnitId, UnitAction),
    /// Make these routes serve.
    Apply(Box<AppRoutes>),
    /// Take the app's routes away.
    Withdraw,
    /// Read what has become of the app's requests.
    Measure,
    /// Ask a unit that serves how it is. Nothing waits for the answer.
    Check {
        /// The unit.
        unit: UnitId,
        /// Since when it is ready; the answer says nothing about a later start.
        since: Timestamp,
        /// What to ask.
        checks: Checks,
    },
}

/// What to ask of a unit that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Whether it is well.
    pub health: bool,
    /// How much memory it uses.
    pub memory: bool,
    /// Where it listens.
    pub address: Option<SocketAddr>,
}

/// Something to do to one unit; at most one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitAction {
    /// Create it.
    Create,
    /// Start it.
    Start(Option<RestartReason>),
    /// Wait until it can serve.
    WaitReady {
        /// How long at most.
        within: Duration,
    },
    /// Wait until no request is in flight on it.
    Drain,
    /// Stop it, and keep it.
    Stop,
    /// Remove it.
    Remove,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionEnd {
    /// What was seen, or the runtime that could not be asked.
    Observed {
        /// The epoch the look began in.
        epoch: u64,
        /// What was seen.
        result: Result<Vec<UnitObserved>, ActionError>,
    },
    /// What has become of the app's requests.
    Measured(Result<AppTraffic, ActionError>),
    /// The release was prepared.
    Prepared(ReleaseId, Result<Prepared, ActionError>),
    /// The unit was created.
    Created(UnitId, Result<(), ActionError>),
    /// The unit was started.
    Started(UnitId, Result<Started, ActionError>),
    /// The unit can serve, or not.
    Warmed(UnitId, Result<ReadyReport, NotReady>),
    /// The unit was drained.
    Drained(UnitId, Result<DrainReport, ActionError>),
    /// The unit was stopped.
    Stopped(UnitId, Result<StopReport, ActionError>),
    /// The unit was removed.
    Removed(UnitId, Result<(), ActionError>),
    /// The routes serve.
    Applied(Box<AppRoutes>, Result<RoutesServing, ActionError>),
    /// The routes are gone.
    Withdrawn(Result<(), ActionError>),
    /// A unit that has been ready since then answered.
    Checked(UnitId, Timestamp, CheckReport),
}

/// What a unit that serves answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Whether it is well, or why not; `None` when that was not asked or could not be found out.
    pub health: Option<Result<(), String>>,
    /// The memory it uses, in bytes; `None` when that was not asked or could not be found out.
    pub memory: Option<u64>,
}

/// A unit that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Main process on the host.
    pub pid: Option<u32>,
    /// When it started.
    pub at: Timestamp,
}

/// A unit that can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyReport {
    /// Where; `None` for a unit without a port.
    pub address: Option<SocketAddr>,
    /// How that was found out, as in `GET /health 200 (41 ms)`.
    pub evidence: String,
    /// From the beginning of the wait.
    pub took: Duration,
    /// The port the app insists on although another one was leased to it.
    pub fixed_port: Option<NonZeroU16>,
    /// Things the user should know.
    pub notes: Vec<String>,
}

/// A unit that cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// How it ended, if it did.
    pub exit: Option<ExitStatus>,
    /// Why.
    pub diagnosis: Diagnosis,
    /// Whether the runtime could not be asked, so that nothing is known about the unit.
    pub unknown: bool,
}

/// A unit that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopReport {
    /// How it ended.
    pub exit: ExitStatus,
    /// Whether it had to be killed.
    pub killed: bool,
}

/// Routes that serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesServing {
    /// Since which state.
    pub generation: Generation,
    /// Host ports of the app that could not be opened.
    pub faults: Vec<BindFault>,
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionError {
    /// What kind of failure it was.
    pub kind: PortErrorKind,
    /// What was tried and why it failed.
    pub diagnosis: Diagnosis,
}

impl UnitAction {
    /// What is going on, in the words of `status`.
    #[must_use]
    pub fn doing(self) -> &'static str {
        match self {
            Self::Create => "creating",
            Self::Start(_) => "starting",
            Self::WaitReady { .. } => "warming",
            Self::Drain => "draining",
            Self::Stop => "stopping",
            Self::Remove => "removing",
        }
    }
}
