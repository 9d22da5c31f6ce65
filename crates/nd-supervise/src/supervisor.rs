//! Keeps named workers running.

mod history;
mod monitor;
mod run;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{Clock, TaskSet, WorkerContext, WorkerError, WorkerSpec, WorkerView};
use monitor::Worker;

/// Starts workers, restarts those that fail, and stops all of them in order.
///
/// Clones share one supervisor. When the last clone is dropped without [`Supervisor::shutdown`], the workers are aborted.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    roster: Mutex<Roster>,
    /// One task a worker, which starts it and sees its end.
    monitors: TaskSet,
    /// The workers' own runs.
    runs: TaskSet,
}

#[derive(Default)]
struct Roster {
    closing: bool,
    /// In the order in which they were added, so that each stands behind the ones it needs.
    workers: Vec<Arc<Worker>>,
}

/// Why a worker was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SupervisorError {
    /// Another worker has the name.
    #[error("add worker {0}: there is a worker of this name; give it another one")]
    Duplicate(&'static str),
    /// It needs a worker that is not there.
    #[error("add worker {name}: it needs {after}, which is not there; add that one first")]
    Missing {
        /// The worker that was to be added.
        name: &'static str,
        /// The one it needs.
        after: &'static str,
    },
    /// Shutdown has begun.
    #[error("add worker {0}: the daemon is shutting down")]
    ShuttingDown(&'static str),
}

/// How the workers ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Workers that ended by themselves, in the order of their ends.
    pub stopped: Vec<&'static str>,
    /// Workers that did not end in time and were aborted.
    pub aborted: Vec<&'static str>,
    /// How long the whole of it took.
    pub took: Duration,
}

impl Supervisor {
    /// A supervisor without workers. Ages and failures are measured by `clock`; pauses are slept in tokio's time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (monitors, runs) = (TaskSet::new("monitors"), TaskSet::new("workers"));
        Self { inner: Arc::new(Inner { clock, roster: Mutex::default(), monitors, runs }) }
    }

    /// Starts a worker. `factory` is called for each run, also for the first.
    ///
    /// # Errors
    /// When the name is taken, a worker named in [`WorkerSpec::after`] was not added before, or shutdown has begun.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn add<F, Fut>(&self, spec: WorkerSpec, factory: F) -> Result<(), SupervisorError>
    where
        F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), WorkerError>> + Send + 'static,
    {
        let mut roster = self.inner.roster.lock();
        roster.check(&spec)?;
        let factory = Arc::new(move |context| Box::pin(factory(context)) as run::RunFuture);
        let worker = Arc::new(Worker::new(spec, factory, Arc::clone(&self.inner.clock)));
        roster.workers.push(Arc::clone(&worker));
        self.inner.monitors.spawn(spec.name, worker.supervise(self.inner.runs.clone()));
        Ok(())
    }

    /// All workers, in the order in which they were added.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerView> {
        self.inner.roster.lock().workers.iter().map(|worker| worker.view()).collect()
    }

    /// Ends the worker's run, within its grace, and starts it anew; its failures are forgotten. Also starts a stopped, a
    /// waiting and a quarantined one. False: there is no such worker, or it is being shut down.
    pub fn restart(&self, name: &str) -> bool {
        let roster = self.inner.roster.lock();
        let worker = roster.workers.iter().find(|worker| worker.name() == name);
        !roster.closing && worker.is_some_and(|worker| worker.restart())
    }

    /// Makes the worker's run panic where it waits, as a defect would: for tests of how the rest fares meanwhile. False:
    /// there is no such worker.
    pub fn inject_panic(&self, name: &str) -> bool {
        let roster = self.inner.roster.lock();
        let worker = roster.workers.iter().find(|worker| worker.name() == name);
        worker.inspect(|worker| worker.strike()).is_some()
    }

    /// Whether every critical worker is in order: not stalled, not ended by a failure for good, and not in quarantine,
    /// from which a minute of health releases it.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.inner.roster.lock().workers.iter().all(|worker| worker.is_healthy())
    }

    /// Stops the workers one by one, the one added last first, so that each ends before those it needs. Each gets its
    /// grace, within `deadline` for all of them; what a hanging worker takes leaves the ones behind it a share. A worker
    /// that fails while it waits for its turn is restarted as ever.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let begin = Instant::now();
        let workers = {
            let mut roster = self.inner.roster.lock();
            roster.closing = true;
            roster.workers.clone()
        };
        let count = u32::try_from(workers.len()).unwrap_or(u32::MAX).max(1);
        // Half of the deadline is divided among all; the other half goes to whoever comes first.
        let share = deadline / count / 2;
        let mut report = ShutdownReport::default();
        for (behind, worker) in (0..count).rev().zip(workers.iter().rev()) {
            let left = deadline.saturating_sub(begin.elapsed());
            let ended_alone = worker.stop(left.saturating_sub(share * behind)).await;
            let list = if ended_alone { &mut report.stopped } else { &mut report.aborted };
            list.push(worker.name());
        }
        report.took = begin.elapsed();
        report
    }
}

impl Roster {
    fn check(&self, spec: &WorkerSpec) -> Result<(), SupervisorError> {
        let name = spec.name;
        let has = |name: &str| self.workers.iter().any(|worker| worker.name() == name);
        if self.closing {
            return Err(SupervisorError::ShuttingDown(name));
        }
        if has(name) {
            return Err(SupervisorError::Duplicate(name));
        }
        match spec.after.iter().copied().find(|after| !has(after)) {
            Some(after) => Err(SupervisorError::Missing { name, after }),
            None => Ok(()),
        }
    }
}

impl Worker {
    /// Asks the worker to end, within its grace and `budget`, and waits for it. False: it had to be aborted.
    async fn stop(&self, budget: Duration) -> bool {
        self.ask_to_stop();
        let grace = self.grace().min(budget);
        if timeout(grace, self.ended()).await.is_err() {
            self.kill();
            // Bounded by the monitor, which waits only a moment for an aborted run.
            self.ended().await;
        }
        !self.was_aborted()
    }
}

impl ShutdownReport {
    /// Whether every worker ended by itself.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.aborted.is_empty()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
