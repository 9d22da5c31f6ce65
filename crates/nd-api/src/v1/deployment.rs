//! Deployments and the steps they go through.

use nd_types::{AppName, DeploymentId, ExitStatus, ReleaseId, StrategyName, Timestamp};
use serde::{Deserialize, Serialize};

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStatus {
    /// It waits for the one before it.
    Queued,
    /// It is under way.
    Running,
    /// Its release serves, or has served.
    Succeeded,
    /// Its release never served.
    Failed,
    /// Its release served and was replaced by the one before.
    RolledBack,
    /// The user ended it.
    Cancelled,
}

impl DeploymentStatus {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl std::fmt::Display for DeploymentStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        })
    }
}

/// One attempt to make a release serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentView {
    /// Its id.
    pub id: DeploymentId,
    /// The app.
    pub app: AppName,
    /// The release it is to make serve; nothing while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// The release that served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ReleaseId>,
    /// How it stands.
    pub status: DeploymentStatus,
    /// Whether its release serves now.
    #[serde(default)]
    pub serving: bool,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// How the release replaces the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// The image or command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where the app answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What the user wrote about it (`-m`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Diagnosis>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What became of requests while it went on; where another release served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// What became of requests during a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Answered below 500.
    pub served: u64,
    /// Of all, those that had to wait.
    pub held: u64,
    /// Of all, those that were sent a second time.
    pub retried: u64,
    /// Answered with 500 or more.
    pub failed: u64,
    /// In flight on the old release, WebSockets included, and cut at the end of the drain time.
    pub cut: u64,
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { served, held, retried, failed, cut } = self;
        write!(f, "{served} requests served, {held} held, {retried} retried, {failed} failed, {cut} cut")
    }
}

/// What failed, why, and what to type next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What happened, in one line.
    pub what: String,
    /// The cause; only where it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How the instance ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitStatus>,
    /// What the last probe said, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The last lines of the instance's output, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// What to type or change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It begins.
    Start,
    /// It goes on.
    Progress,
    /// A line of its output.
    Log,
    /// It ended well.
    Ok,
    /// It failed.
    Fail,
    /// It was not necessary.
    Skip,
}

/// One record of a deployment's stream. The last one has the step [`StepRecord::DONE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Grows by one; a reader that comes back asks for what follows its last one.
    pub seq: u64,
    /// When.
    pub ts: Timestamp,
    /// The step, as in `health`.
    pub step: String,
    /// How it stands.
    pub state: StepState,
    /// How much of it is done, 0 to 100, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pct: Option<u8>,
    /// Since the step began, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// What there is to say, as in `GET /health 200 (41 ms)`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Figures of the step, for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Where the app answers (last record).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The release that served before (last record).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ReleaseId>,
    /// How the deployment ended (last record).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<DeploymentStatus>,
    /// Why it failed (last record).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Diagnosis>,
    /// What to type next (last record).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

impl StepRecord {
    /// The step of the last record of every stream.
    pub const DONE: &'static str = "done";

    /// A record that says no more than where a step stands.
    #[must_use]
    pub fn new(seq: u64, ts: Timestamp, step: impl Into<String>, state: StepState) -> Self {
        Self {
            seq,
            ts,
            step: step.into(),
            state,
            pct: None,
            ms: None,
            message: String::new(),
            data: None,
            url: None,
            previous: None,
            status: None,
            error: None,
            fix: Vec::new(),
        }
    }

    /// Whether the stream ends with this record.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.step == Self::DONE
    }
}
