//! The result of one task.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::{JoinError, JoinHandle};

use super::{TaskFailure, panic_message};

/// A running task's result: await it.
///
/// Dropping the handle does not cancel the task; its set still owns it.
#[derive(Debug)]
pub struct TaskHandle<T> {
    /// None once the result was taken, or when the set took no more tasks.
    task: Option<JoinHandle<Result<T, TaskFailure>>>,
}

impl<T> TaskHandle<T> {
    pub(super) const fn new(task: JoinHandle<Result<T, TaskFailure>>) -> Self {
        Self { task: Some(task) }
    }

    /// The handle of a task that was refused.
    pub(super) const fn refused() -> Self {
        Self { task: None }
    }

    /// Cancels the task at its next await. Await the handle to see it end.
    pub fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Cancel safe: the result stays until one poll has returned it.
impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = self.task.as_mut() else {
            return Poll::Ready(Err(TaskFailure::Cancelled));
        };
        let joined = ready!(Pin::new(task).poll(cx));
        self.task = None;
        Poll::Ready(joined.unwrap_or_else(|error| Err(failure(error))))
    }
}

/// Panics of the task itself never come here; those of its destructors do.
fn failure(error: JoinError) -> TaskFailure {
    match error.try_into_panic() {
        Ok(payload) => TaskFailure::Panicked(panic_message(&*payload)),
        Err(_) => TaskFailure::Cancelled,
    }
}
