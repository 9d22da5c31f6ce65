//! One run of a worker, from its start to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::worker::Pulse;
use crate::{TaskFailure, TaskHandle, TaskSet, WorkerContext, WorkerError, WorkerExit};

/// A worker's future, as its factory makes it.
pub(super) type RunFuture = Pin<Box<dyn Future<Output = Result<(), WorkerError>> + Send>>;

/// Makes one run after the other.
pub(super) type Factory = Arc<dyn Fn(WorkerContext) -> RunFuture + Send + Sync>;

/// How long an aborted run may take to reach its next await when it has to be gone.
const ABORT_WAIT: Duration = Duration::from_millis(200);

/// A monitor that wakes so much later than it meant to was held up itself, and the workers with it.
const HELD_UP: Duration = Duration::from_secs(1);

/// A worker at work.
pub(super) struct Run {
    shutdown: CancellationToken,
    /// However the run ends, by a panic too, what it left behind with clones of its token ends with it.
    _ended: DropGuard,
    task: TaskHandle<Result<(), WorkerError>>,
}

impl Run {
    pub(super) fn start(
        runs: &TaskSet,
        name: &'static str,
        factory: &Factory,
        pulse: Arc<Pulse>,
        struck: Arc<Notify>,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let context = WorkerContext::new(shutdown.clone(), pulse);
        let factory = Arc::clone(factory);
        // Within the task, so that a panic of the factory is one of the worker.
        let work = async move { factory(context).await };
        let task = runs.spawn_with(name, until_panicked(work, struck));
        Self { _ended: shutdown.clone().drop_guard(), shutdown, task }
    }

    /// Waits for the run's end. Cancel safe.
    pub(super) async fn ended(&mut self) -> WorkerExit {
        match (&mut self.task).await {
            Ok(Ok(())) => WorkerExit::Done,
            Ok(Err(error)) => WorkerExit::Failed(with_sources(&error)),
            Err(TaskFailure::Panicked(message)) => WorkerExit::Panicked(message),
            Err(TaskFailure::Cancelled) => WorkerExit::Cancelled,
        }
    }

    /// Asks the run to end and waits for `grace`; none: it goes on, and has to be aborted.
    pub(super) async fn ask(&mut self, grace: Duration) -> Option<WorkerExit> {
        self.shutdown.cancel();
        timeout(grace, self.ended()).await.ok()
    }

    /// Aborts the run and waits for its end, so that there are never two of one worker. One that blocks its thread
    /// cannot be aborted; it is waited for until `give_up` is cancelled.
    pub(super) async fn abort(&mut self, give_up: &CancellationToken) -> WorkerExit {
        self.shutdown.cancel();
        self.task.abort();
        let given_up = async {
            give_up.cancelled().await;
            sleep(ABORT_WAIT).await;
        };
        tokio::select! {
            biased;
            exit = self.ended() => exit,
            () = given_up => WorkerExit::Cancelled,
        }
    }
}

/// The work, or a panic in its place as soon as somebody asks for one.
async fn until_panicked<F: Future>(work: F, struck: Arc<Notify>) -> F::Output {
    tokio::select! {
        output = work => output,
        () = struck.notified() => injected_panic(),
    }
}

#[allow(clippy::panic, reason = "the panic that a test asked for")]
fn injected_panic() -> ! {
    panic!("a panic that was asked for")
}

/// Waits until a run has given no heartbeat for `limit` and returns for how long; for ever without a limit.
pub(super) async fn stalled(pulse: Arc<Pulse>, limit: Option<Duration>) -> Duration {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let mut pause = limit;
    loop {
        let due = Instant::now() + pause;
        sleep_until(due).await;
        let silence = pulse.silence();
        pause = match limit.checked_sub(silence) {
            Some(rest) if !rest.is_zero() => rest,
            // The whole process stood still (suspended, starved): let the worker speak first.
            _ if due.elapsed() > HELD_UP => limit,
            _ => return silence,
        };
    }
}

/// An error in one line, with what caused it.
fn with_sources(error: &WorkerError) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::advance;

    use super::*;
    use crate::SystemClock;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stood_still_blames_a_worker_only_after_another_limit() {
        let mut watch = pin!(stalled(Pulse::new(Arc::new(SystemClock)), Some(LIMIT)));
        assert!(timeout(Duration::ZERO, &mut watch).await.is_err());
        advance(Duration::from_secs(3600)).await;
        assert!(timeout(Duration::from_secs(9), &mut watch).await.is_err());
        assert_eq!(watch.await.as_secs(), 3610);
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_moves_the_limit() {
        let pulse = Pulse::new(Arc::new(SystemClock));
        let mut watch = pin!(stalled(Arc::clone(&pulse), Some(LIMIT)));
        assert!(timeout(Duration::from_secs(9), &mut watch).await.is_err());
        pulse.beat();
        assert!(timeout(Duration::from_secs(9), &mut watch).await.is_err());
        assert_eq!(watch.await, LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_without_a_limit_never_stalls() {
        let watch = stalled(Pulse::new(Arc::new(SystemClock)), None);
        assert!(timeout(Duration::from_secs(86_400), watch).await.is_err());
    }
}
