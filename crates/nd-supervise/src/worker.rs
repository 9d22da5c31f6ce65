//! What a worker is: what its author says about it, what it is given, and what can be seen of it.

mod pulse;
mod spec;
mod view;

use std::error::Error;
use std::time::Duration;

pub(crate) use pulse::Pulse;
pub use pulse::WorkerContext;
pub use spec::{RestartWhen, WorkerSpec};
pub use view::{FailureKind, FailureView, WorkerState, WorkerView};

/// Why a worker gave up: any error. Its sources are logged with it.
pub type WorkerError = Box<dyn Error + Send + Sync>;

/// How one run of a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// It returned `Ok`.
    Done,
    /// It returned this error.
    Failed(String),
    /// It panicked, with this message.
    Panicked(String),
    /// It gave no sign of life for this long and was aborted.
    Stalled(Duration),
    /// It was aborted because it had to end.
    Cancelled,
}

impl WorkerExit {
    /// The kind and the words of a failure; none for the other exits.
    pub(crate) fn failure(&self) -> Option<(FailureKind, String)> {
        match self {
            Self::Done | Self::Cancelled => None,
            Self::Failed(message) => Some((FailureKind::Failed, message.clone())),
            Self::Panicked(message) => Some((FailureKind::Panicked, message.clone())),
            Self::Stalled(age) => Some((FailureKind::Stalled, format!("no heartbeat for {age:.1?}"))),
        }
    }
}
