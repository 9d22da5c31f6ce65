//! Who is in a set: the part that both kinds of set share.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{TaskFailure, panic_message};

/// How long aborted tasks may take to reach their next await.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// The tasks of one set. A task costs one entry here and leaves it with its end.
#[derive(Debug)]
pub(super) struct Registry {
    name: &'static str,
    live: Mutex<Live>,
    emptied: Notify,
    panics: AtomicU64,
}

#[derive(Debug, Default)]
struct Live {
    phase: Phase,
    next_id: u64,
    /// A tree gives memory back as tasks end. None: entered, not yet spawned.
    tasks: BTreeMap<u64, Option<AbortHandle>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    Closed,
    Aborting,
}

impl Registry {
    pub(super) fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, live: Mutex::default(), emptied: Notify::new(), panics: AtomicU64::new(0) })
    }

    /// A place for one more task; none once the set is closed.
    pub(super) fn enter(self: &Arc<Self>, task: &'static str) -> Option<Membership> {
        let mut live = self.live.lock();
        if live.phase != Phase::Open {
            drop(live);
            tracing::debug!(set = self.name, task, "task refused: its set is shutting down");
            return None;
        }
        let id = live.next_id;
        live.next_id += 1;
        live.tasks.insert(id, None);
        Some(Membership { registry: Arc::clone(self), id, task })
    }

    /// Makes task `id` abortable, unless it has already ended.
    pub(super) fn attach(&self, id: u64, abort: AbortHandle) {
        let mut live = self.live.lock();
        if live.phase == Phase::Aborting {
            drop(live);
            abort.abort();
        } else if let Some(entry) = live.tasks.get_mut(&id) {
            *entry = Some(abort);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live.lock().tasks.len()
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Aborts what runs now and returns how many that were.
    pub(super) fn abort_all(&self) -> usize {
        // Outside the lock: an abort may drop the task here, and its place with it.
        let running: Vec<AbortHandle> = self.live.lock().tasks.values().flatten().cloned().collect();
        for task in &running {
            task.abort();
        }
        running.len()
    }

    /// Takes no more tasks and aborts all there are.
    pub(super) fn close_and_abort(&self) -> usize {
        self.live.lock().phase = Phase::Aborting;
        self.abort_all()
    }

    pub(super) async fn shutdown(&self, grace: Duration) -> usize {
        self.close();
        if timeout(grace, self.empty()).await.is_ok() {
            return 0;
        }
        let aborted = self.close_and_abort();
        if timeout(ABORT_WAIT, self.empty()).await.is_err() {
            tracing::warn!(
                set = self.name,
                left = self.len(),
                "aborted tasks block a thread and are left behind"
            );
        }
        aborted
    }

    fn close(&self) {
        let mut live = self.live.lock();
        if live.phase == Phase::Open {
            live.phase = Phase::Closed;
        }
    }

    async fn empty(&self) {
        loop {
            // Before the look at the length: a wake-up between the two is not lost.
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn leave(&self, id: u64) {
        let mut live = self.live.lock();
        let abort = live.tasks.remove(&id);
        let empty = live.tasks.is_empty();
        drop(live);
        drop(abort);
        if empty {
            self.emptied.notify_waiters();
        }
    }
}

/// A task's place in its set, given up when the task ends in whatever way.
#[derive(Debug)]
pub(super) struct Membership {
    registry: Arc<Registry>,
    id: u64,
    task: &'static str,
}

impl Membership {
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Counts and logs the task's panic.
    pub(super) fn panicked(&self, payload: &(dyn Any + Send)) -> TaskFailure {
        let message = panic_message(payload);
        self.registry.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(set = self.registry.name, task = self.task, panic = message, "task panicked");
        TaskFailure::Panicked(message)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registry.leave(self.id);
    }
}

/// Shared by the clones of a set: when the last one is dropped, no task is left without an owner.
#[derive(Debug)]
pub(super) struct Owner(pub(super) Arc<Registry>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close_and_abort();
    }
}
