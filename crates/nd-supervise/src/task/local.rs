//! Tasks that stay on their thread.

use std::sync::Arc;
use std::time::Duration;

use super::TaskHandle;
use super::registry::{Owner, Registry};
use super::tracked::Tracked;

/// Owns `!Send` tasks of a [`LocalSet`](tokio::task::LocalSet), such as one per connection: an ended task leaves
/// nothing behind. Clones share one set; when the last clone is dropped, the tasks that still run are aborted.
///
/// Only spawning is bound to the `LocalSet`: another thread may ask for the length, abort and shut down.
#[derive(Clone, Debug)]
pub struct LocalTaskSet {
    owner: Arc<Owner>,
}

impl LocalTaskSet {
    /// An empty set; `name` stands in the log lines of its tasks.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { owner: Arc::new(Owner(Registry::new(name))) }
    }

    /// Runs `f` as a task on this thread. A panic is caught, logged with `name` and counted. After
    /// [`LocalTaskSet::shutdown`] began, `f` is dropped instead.
    ///
    /// # Panics
    /// Outside a `LocalSet`.
    pub fn spawn<F>(&self, name: &'static str, f: F)
    where
        F: Future<Output = ()> + 'static,
    {
        drop(self.spawn_with(name, f));
    }

    /// Like [`LocalTaskSet::spawn`], with a handle that gives the task's result. A refused task is `Cancelled`.
    ///
    /// # Panics
    /// Outside a `LocalSet`.
    pub fn spawn_with<F, T>(&self, name: &'static str, f: F) -> TaskHandle<T>
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let registry = &self.owner.0;
        let Some(membership) = registry.enter(name) else {
            return TaskHandle::refused();
        };
        let id = membership.id();
        let task = tokio::task::spawn_local(Tracked::new(f, membership));
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

    /// Aborts the tasks that run now and returns how many that were; the set goes on taking tasks.
    pub fn abort_all(&self) -> usize {
        self.owner.0.abort_all()
    }

    /// Takes no more tasks, waits `grace` for those that run, aborts the rest and returns how many that were.
    ///
    /// The `LocalSet` must be driven meanwhile, and a task must not shut down its own set.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        self.owner.0.shutdown(grace).await
    }
}
