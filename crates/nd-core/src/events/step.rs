//! Steps of a deployment, and why units are started again.

use serde::{Deserialize, Serialize};

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
