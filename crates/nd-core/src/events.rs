//! What happened: one typed value per fact, from which its log line, its stored form and its API view come.

mod step;

use nd_types::{
    AppName, DeploymentId, ExitStatus, Generation, HostPattern, ReleaseId, StrategyName, Timestamp, UnitId,
};
use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
pub use step::{RestartReason, StepEvent, StepState};

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
    /// A name has a certificate now.
    CertIssued {
        /// Its first name.
        name: HostPattern,
        /// Who issued it.
        issuer: String,
        /// Its serial number.
        serial: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// A certificate took the place of one that would have expired.
    CertRenewed {
        /// Its first name.
        name: HostPattern,
        /// Who issued it.
        issuer: String,
        /// Its serial number.
        serial: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// A certificate could not be had.
    CertFailed {
        /// Its first name.
        name: HostPattern,
        /// Why not, and what can be done about it.
        reason: String,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// A certificate is about to expire and was not renewed, or nobody is to renew it.
    CertExpiring {
        /// Its first name.
        name: HostPattern,
        /// Its end.
        not_after: Timestamp,
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
            Self::CertIssued { .. } => "cert.issued",
            Self::CertRenewed { .. } => "cert.renewed",
            Self::CertFailed { .. } => "cert.failed",
            Self::CertExpiring { .. } => "cert.expiring",
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
            | Self::CertFailed { .. }
            | Self::CertExpiring { .. }
            | Self::Trouble { .. } => Severity::Warning,
            _ => Severity::Info,
        }
    }

    /// The same of one about a certificate.
    fn cert_title(&self) -> String {
        match self {
            Self::CertIssued { name, issuer, not_after, .. } => {
                format!("{name} has a certificate of {issuer}, valid until {not_after}")
            }
            Self::CertRenewed { name, not_after, .. } => {
                format!("the certificate of {name} was renewed, valid until {not_after}")
            }
            Self::CertFailed { name, reason, retry_at } => {
                format!("no certificate for {name}: {reason}; tried again at {retry_at}")
            }
            Self::CertExpiring { name, not_after } => {
                format!("the certificate of {name} expires at {not_after}")
            }
            _ => String::new(),
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
            Self::CertIssued { .. }
            | Self::CertRenewed { .. }
            | Self::CertFailed { .. }
            | Self::CertExpiring { .. } => self.cert_title(),
            Self::Trouble { message } | Self::Note { message } => message.clone(),
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
