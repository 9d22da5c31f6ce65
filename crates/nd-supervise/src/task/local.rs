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

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;
    use crate::TaskFailure;

    #[tokio::test]
    async fn ended_tasks_leave_nothing_behind() {
        LocalSet::new()
            .run_until(async {
                let set = LocalTaskSet::new("connections");
                let shared = Rc::new(());
                for _ in 0..100 {
                    let held = Rc::clone(&shared);
                    set.spawn("connection", async move { drop(held) });
                }
                assert_eq!((set.len(), Rc::strong_count(&shared)), (100, 101));
                assert_eq!(set.shutdown(Duration::from_secs(1)).await, 0);
                assert_eq!((set.len(), Rc::strong_count(&shared)), (0, 1));
            })
            .await;
    }

    #[tokio::test]
    async fn a_panic_of_one_connection_leaves_the_others_alone() {
        LocalSet::new()
            .run_until(async {
                let set = LocalTaskSet::new("connections");
                let value = Rc::new(3);
                let broken = set.spawn_with("broken", async { panic!("bad frame") });
                let fine = set.spawn_with("fine", async move { *value });
                assert_eq!(broken.await, Err::<(), _>(TaskFailure::Panicked("bad frame".to_owned())));
                assert_eq!(fine.await, Ok(3));
                assert_eq!(set.panics(), 1);
            })
            .await;
    }

    #[tokio::test]
    async fn a_set_goes_on_after_all_were_aborted() {
        LocalSet::new()
            .run_until(async {
                let set = LocalTaskSet::new("connections");
                let endless = set.spawn_with("endless", std::future::pending::<()>());
                assert_eq!(set.abort_all(), 1);
                assert_eq!(endless.await, Err(TaskFailure::Cancelled));
                assert!(set.is_empty());
                assert_eq!(set.spawn_with("next", async { 1 }).await, Ok(1));
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_aborts_what_outlives_its_grace() {
        LocalSet::new()
            .run_until(async {
                let set = LocalTaskSet::new("connections");
                let shared = Rc::new(());
                let held = Rc::clone(&shared);
                set.spawn("endless", async move {
                    std::future::pending::<()>().await;
                    drop(held);
                });
                assert_eq!(set.shutdown(Duration::from_secs(1)).await, 1);
                assert_eq!(Rc::strong_count(&shared), 1);
            })
            .await;
    }
}
