//! Tasks with an owner that sees their end.

mod handle;
mod local;
mod registry;
mod set;
mod tracked;

use std::any::Any;

pub use handle::TaskHandle;
pub use local::LocalTaskSet;
pub use set::TaskSet;

/// How a task or thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It returned.
    Done,
    /// It panicked, with this message.
    Panicked(String),
    /// It was aborted, or the runtime went down.
    Cancelled,
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailure {
    /// It panicked, with this message.
    #[error("task panicked: {0}")]
    Panicked(String),
    /// It was aborted, its set no longer takes tasks, or the runtime went down.
    #[error("task was cancelled")]
    Cancelled,
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
