//! What happened: one typed value per fact, from which its log line, its stored form and its API view come.

use nd_types::{AppName, DeploymentId, ExitStatus, Generation, ReleaseId, StrategyName, Timestamp, UnitId};
use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;

/// A fact with its number, time and place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Grows by one with every event of this daemon.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// The app it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The unit it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitId>,
    /// The deployment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Who caused it, when a user did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What.
    pub what: Event,
}

/// How much attention an event wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Business as usual.
    Info,
    /// Worth a look.
    Warning,
    /// Something is broken.
    Error,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Event {
    /// A deployment was accepted.
    DeployStarted {
        /// The release that is to serve.
        release: ReleaseId,
        /// How.
        strategy: StrategyName,
    },
    /// A step of a deployment.
    DeployStep(StepEvent),
    /// A deployment ended well.
    DeploySucceeded {
        /// The release that serves.
        release: ReleaseId,
        /// From acceptance to serving, in milliseconds.
        took_ms: u64,
    },
    /// A deployment failed.
    DeployFailed {
        /// Why.
        diagnosis: Diagnosis,
        /// Whether what served before still does.
        old_serves: bool,
        /// Whether something served when it began, and nothing does any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
    /// A release failed during its probation and is replaced by the one before.
    DeployRolledBack {
        /// The release that is brought back.
        to: ReleaseId,
        /// Why.
        reason: String,
    },
    /// A unit started.
    UnitStarted {
        /// Why it was started, when it had run before.
        restart: Option<RestartReason>,
    },
    /// A unit can serve.
    UnitReady {
        /// How that was found out.
        evidence: String,
        /// From its start, in milliseconds.
        took_ms: u64,
    },
    /// A unit that served fails its checks: no request is sent to it.
    UnitUnhealthy {
        /// What the last check said.
        reason: String,
    },
    /// A unit that was unhealthy is well again.
    UnitRecovered,
    /// The mirror serves in the place of another unit.
    FailedOver {
        /// The one that failed.
        from: UnitId,
    },
    /// What had failed serves again, and the mirror stands by.
    FailedBack,
    /// A unit ended without having been asked to.
    UnitExited {
        /// How.
        exit: ExitStatus,
        /// How long it had run, in milliseconds.
        uptime_ms: u64,
    },
    /// A unit was stopped as asked.
    UnitStopped {
        /// How it ended.
        exit: ExitStatus,
        /// Whether it had to be killed because it did not stop in time.
        killed: bool,
    },
    /// A unit was removed.
    UnitRemoved,
    /// A unit that had vanished is created again.
    UnitVanished,
    /// A unit that no record knew was taken over.
    UnitAdopted {
        /// What it runs.
        runs: String,
    },
    /// An app crashes again and again; attempts pause.
    CrashLoop {
        /// How many crashes were counted.
        crashes: u32,
        /// How the last one ended.
        exit: ExitStatus,
    },
    /// The routes of an app changed and serve.
    RoutesServing {
        /// Since which state.
        generation: Generation,
        /// Units behind the routes.
        units: u32,
    },
    /// Requests in flight on units that leave have ended.
    Drained {
        /// Requests that finished.
        finished: u64,
        /// Requests and WebSockets that were cut at the deadline.
        cut: u64,
        /// WebSockets that ended with a closing handshake.
        websockets_closed: u64,
    },
    /// The user started, stopped, scaled, restarted or removed the app.
    AppChanged {
        /// What was asked, as in `scale to 3`.
        change: String,
    },
    /// An app reached what was asked of it, or fell from it.
    PhaseChanged {
        /// The new phase.
        phase: String,
        /// Why, where there is a reason.
        reason: Option<String>,
    },
    /// Something at a port failed and is tried again.
    Trouble {
        /// What failed and why.
        message: String,
    },
    /// Something the user should know.
    Note {
        /// What.
        message: String,
    },
}

/// One step of a deployment, as the user follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEvent {
    /// The step: `check`, `prepare`, `create`, `start`, `health`, `swap`, `drain`, `stop`, `undo`, `done`.
    pub step: String,
    /// How it stands.
    pub state: StepState,
    /// What there is to say, as in `GET /health 200 (41 ms)`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since the step began, in milliseconds.
    #[serde(default)]
    pub ms: u64,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It begins.
    Start,
    /// It goes on.
    Progress,
    /// It ended well.
    Ok,
    /// It failed.
    Fail,
    /// It was not necessary.
    Skip,
}

/// Why a unit was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartReason {
    /// It had ended by itself.
    Exited,
    /// It had been killed for memory.
    OutOfMemory,
    /// It had failed its health checks.
    Health,
    /// It had used more memory than `max_memory`.
    MemoryLimit,
    /// Its `cron` schedule said so.
    Cron,
    /// The user asked for it.
    Manual,
    /// The daemon came back and found it ended.
    FoundStopped,
}

impl Event {
    /// The name of the fact in the API: `deploy.failed`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::DeployStarted { .. } => "deploy.started",
            Self::DeployStep(_) => "deploy.step",
            Self::DeploySucceeded { .. } => "deploy.succeeded",
            Self::DeployFailed { .. } => "deploy.failed",
            Self::DeployRolledBack { .. } => "deploy.rolled_back",
            Self::UnitStarted { .. } => "instance.started",
            Self::UnitReady { .. } => "instance.ready",
            Self::UnitUnhealthy { .. } => "instance.unhealthy",
            Self::UnitRecovered => "instance.recovered",
            Self::FailedOver { .. } => "failover.started",
            Self::FailedBack => "failover.ended",
            Self::UnitExited { .. } => "instance.exited",
            Self::UnitStopped { .. } => "instance.stopped",
            Self::UnitRemoved => "instance.removed",
            Self::UnitVanished => "instance.vanished",
            Self::UnitAdopted { .. } => "instance.adopted",
            Self::CrashLoop { .. } => "app.crash_loop",
            Self::RoutesServing { .. } => "app.routes_serving",
            Self::Drained { .. } => "app.drained",
            Self::AppChanged { .. } => "app.changed",
            Self::PhaseChanged { .. } => "app.phase",
            Self::Trouble { .. } => "app.trouble",
            Self::Note { .. } => "app.note",
        }
    }

    /// How much attention it wants.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::DeployFailed { .. } | Self::CrashLoop { .. } => Severity::Error,
            Self::DeployRolledBack { .. }
            | Self::UnitExited { .. }
            | Self::UnitUnhealthy { .. }
            | Self::UnitVanished
            | Self::FailedOver { .. }
            | Self::Trouble { .. } => Severity::Warning,
            _ => Severity::Info,
        }
    }

    /// The fact in one line.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::DeployStarted { release, strategy } => {
                format!("deployment of release {release} started ({strategy})")
            }
            Self::DeployStep(step) if step.message.is_empty() => {
                format!("{} {}", step.step, step.state.as_str())
            }
            Self::DeployStep(step) => format!("{} {}: {}", step.step, step.state.as_str(), step.message),
            Self::DeploySucceeded { release, took_ms } => {
                format!("release {release} serves after {took_ms} ms")
            }
            Self::DeployFailed { diagnosis, old_serves: true, .. } => {
                format!("deployment failed, the old release serves on: {}", diagnosis.what)
            }
            Self::DeployFailed { diagnosis, old_serves: false, .. } => {
                format!("deployment failed: {}", diagnosis.what)
            }
            Self::DeployRolledBack { to, reason } => format!("going back to release {to}: {reason}"),
            Self::UnitStarted { restart: None } => "started".to_owned(),
            Self::UnitStarted { restart: Some(reason) } => format!("started again ({})", reason.as_str()),
            Self::UnitReady { evidence, took_ms } => format!("ready after {took_ms} ms: {evidence}"),
            Self::UnitUnhealthy { reason } => format!("unhealthy, no requests are sent to it: {reason}"),
            Self::UnitRecovered => "healthy again".to_owned(),
            Self::FailedOver { from } => format!("serves in the place of {from}, which failed"),
            Self::FailedBack => "stands by again".to_owned(),
            Self::UnitExited { exit, uptime_ms } => {
                format!("ended by itself with {exit} after {uptime_ms} ms")
            }
            Self::UnitStopped { exit, killed: false } => format!("stopped ({exit})"),
            Self::UnitStopped { killed: true, .. } => "killed, because it did not stop in time".to_owned(),
            Self::UnitRemoved => "removed".to_owned(),
            Self::UnitVanished => "vanished; it is created again".to_owned(),
            Self::UnitAdopted { runs } => format!("adopted, runs {runs}"),
            Self::CrashLoop { crashes, exit } => {
                format!("crash loop: {crashes} crashes, the last with {exit}")
            }
            Self::RoutesServing { generation, units } => {
                format!("{units} instances routed (generation {generation})")
            }
            Self::Drained { finished, cut, websockets_closed } => {
                format!(
                    "drained: {finished} requests finished, {websockets_closed} websockets closed, {cut} cut"
                )
            }
            Self::AppChanged { change } => change.clone(),
            Self::PhaseChanged { phase, reason: None } => phase.clone(),
            Self::PhaseChanged { phase, reason: Some(reason) } => format!("{phase}: {reason}"),
            Self::Trouble { message } | Self::Note { message } => message.clone(),
        }
    }
}

impl StepState {
    /// The state in a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "begins",
            Self::Progress => "goes on",
            Self::Ok => "done",
            Self::Fail => "failed",
            Self::Skip => "skipped",
        }
    }
}

impl RestartReason {
    /// The reason in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exited => "it had ended by itself",
            Self::OutOfMemory => "it had run out of memory",
            Self::Health => "it had failed its health checks",
            Self::MemoryLimit => "it had used more memory than `max_memory`",
            Self::Cron => "by its schedule",
            Self::Manual => "as asked",
            Self::FoundStopped => "it was found stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_words() {
        let title = |state, message: &str| {
            let (step, message) = ("create".to_owned(), message.to_owned());
            Event::DeployStep(StepEvent { step, state, message, ms: 0 }).title()
        };
        assert_eq!(title(StepState::Ok, ""), "create done");
        assert_eq!(title(StepState::Start, ""), "create begins");
        assert_eq!(title(StepState::Fail, "no space left"), "create failed: no space left");
    }
}
