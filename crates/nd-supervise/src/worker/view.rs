//! What can be seen of a worker.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// A worker as it is now.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Its name.
    pub name: &'static str,
    /// What it does now.
    pub state: WorkerState,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// Whether the daemon is unhealthy without it.
    pub critical: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// How often it has panicked.
    pub panics: u64,
    /// Its last failure.
    pub last_failure: Option<FailureView>,
    /// Time since its last heartbeat; none where it runs not, or has given none in this run.
    pub heartbeat_age: Option<Duration>,
}

/// What a worker does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// Started, and the first of the heartbeats it promises is awaited.
    Starting,
    /// At work.
    Running,
    /// Waits for its next start after it ended.
    BackingOff,
    /// Was asked to end, or aborted, and has not ended.
    Stopping,
    /// Ended, and is not started again unless asked.
    Stopped,
    /// Failed too often: started every 5 minutes only.
    Quarantined,
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::BackingOff => "backing-off",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Quarantined => "quarantined",
        })
    }
}

/// One failure of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureView {
    /// When it was seen.
    pub at: Timestamp,
    /// What happened.
    pub kind: FailureKind,
    /// The error with its sources, the panic's message, or how long the heartbeat was missing.
    pub message: String,
}

/// What happened to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It gave no heartbeat in time.
    Stalled,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Stalled => "stalled",
        })
    }
}
