//! Tasks that may move between threads.

use std::sync::Arc;
use std::time::Duration;

use super::TaskHandle;
use super::registry::{Owner, Registry};
use super::tracked::Tracked;

/// Owns tasks. Clones share one set; when the last clone is dropped, the tasks that still run are aborted.
#[derive(Clone, Debug)]
pub struct TaskSet {
    owner: Arc<Owner>,
}

impl TaskSet {
    /// An empty set; `name` stands in the log lines of its tasks.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { owner: Arc::new(Owner(Registry::new(name))) }
    }

    /// Runs `f` as a task. A panic is caught, logged with `name` and counted. After [`TaskSet::shutdown`] began, `f` is
    /// dropped instead.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, f: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.spawn_with(name, f));
    }

    /// Like [`TaskSet::spawn`], with a handle that gives the task's result. A refused task is `Cancelled`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn_with<F, T>(&self, name: &'static str, f: F) -> TaskHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let registry = &self.owner.0;
        let Some(membership) = registry.enter(name) else {
            return TaskHandle::refused();
        };
        let id = membership.id();
        let task = tokio::spawn(Tracked::new(f, membership));
        registry.attach(id, task.abort_handle());
        TaskHandle::new(task)
    }

    /// How many tasks have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owner.0.len()
    }

    /// Whether all tasks have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks have panicked since the set was made.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.owner.0.panics()
    }

    /// Takes no more tasks, waits `grace` for those that run, aborts the rest and returns how many that were.
    ///
    /// Tasks are not told: give them a [`CancellationToken`](crate::CancellationToken) and cancel it first. A task must
    /// not shut down its own set, it would wait for itself.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        self.owner.0.shutdown(grace).await
    }
}
