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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::TaskFailure;

    #[tokio::test]
    async fn a_panic_is_counted_and_returned_and_the_others_go_on() {
        let set = TaskSet::new("test");
        let broken = set.spawn_with("broken", async { panic!("out of {}", "luck") });
        let fine = set.spawn_with("fine", async { 7 });
        assert_eq!(broken.await, Err::<(), _>(TaskFailure::Panicked("out of luck".to_owned())));
        assert_eq!(fine.await, Ok(7));
        assert_eq!((set.panics(), set.len()), (1, 0));
    }

    #[tokio::test]
    async fn dropping_a_handle_does_not_cancel_its_task() {
        let set = TaskSet::new("test");
        let (sent, received) = oneshot::channel();
        drop(set.spawn_with("sender", async move { sent.send(1) }));
        assert_eq!(received.await, Ok(1));
    }

    #[tokio::test]
    async fn an_aborted_task_is_cancelled_and_leaves_the_set() {
        let set = TaskSet::new("test");
        let task = set.spawn_with("endless", std::future::pending::<()>());
        assert_eq!(set.len(), 1);
        task.abort();
        assert_eq!(task.await, Err(TaskFailure::Cancelled));
        assert!(set.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_those_that_end_and_aborts_the_rest() {
        let set = TaskSet::new("test");
        let slow = set.spawn_with("slow", tokio::time::sleep(Duration::from_secs(3)));
        let endless = set.spawn_with("endless", std::future::pending::<()>());
        assert_eq!(set.shutdown(Duration::from_secs(5)).await, 1);
        assert_eq!(slow.await, Ok(()));
        assert_eq!(endless.await, Err(TaskFailure::Cancelled));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_is_over_with_the_last_task() {
        let set = TaskSet::new("test");
        let begin = tokio::time::Instant::now();
        set.spawn("short", tokio::time::sleep(Duration::from_secs(2)));
        assert_eq!(set.shutdown(Duration::from_secs(60)).await, 0);
        assert_eq!(begin.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_set_that_shut_down_takes_no_more_tasks() {
        let set = TaskSet::new("test");
        assert_eq!(set.shutdown(Duration::ZERO).await, 0);
        let late = set.spawn_with("late", async { 1 });
        assert!(late.is_finished());
        assert_eq!(late.await, Err(TaskFailure::Cancelled));
    }

    #[tokio::test]
    async fn tasks_end_with_the_last_clone_of_their_set() {
        let set = TaskSet::new("test");
        let clone = set.clone();
        let task = set.spawn_with("endless", std::future::pending::<()>());
        drop(set);
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        drop(clone);
        assert_eq!(task.await, Err(TaskFailure::Cancelled));
    }

    #[tokio::test]
    async fn a_task_may_hold_the_last_clone_of_its_set() {
        let set = TaskSet::new("test");
        let own = set.clone();
        let task = set.spawn_with("owner", async move {
            tokio::task::yield_now().await;
            own.len()
        });
        drop(set);
        assert_eq!(task.await, Ok(1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tasks_that_end_while_they_are_entered_leave_nothing_behind() {
        let set = TaskSet::new("test");
        for _ in 0..1000 {
            set.spawn("instant", async {});
        }
        assert_eq!(set.shutdown(Duration::from_secs(10)).await, 0);
        assert!(set.is_empty());
    }
}
