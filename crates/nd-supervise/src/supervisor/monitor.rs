//! One worker's life: run, see the end, decide, pause, run again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::history::{HEALTHY_AFTER, History, Next};
use super::run::{Factory, Run, stalled};
use super::status::Status;
use crate::worker::Pulse;
use crate::{Clock, TaskSet, WorkerExit, WorkerSpec, WorkerState, WorkerView, jitter};

/// A worker as its supervisor holds it. Its monitor is the only one that acts; the others ask.
pub(super) struct Worker {
    spec: WorkerSpec,
    factory: Factory,
    clock: Arc<dyn Clock>,
    status: Mutex<Status>,
    restart: Notify,
    /// It is to panic.
    struck: Arc<Notify>,
    /// It is to end for good.
    stop: CancellationToken,
    /// It is to end at once.
    kill: CancellationToken,
    /// It has ended for good.
    ended: CancellationToken,
}

/// How a run ended, and why.
enum RunEnd {
    /// By itself, or stalled.
    Alone(WorkerExit),
    /// Because a new start was asked for.
    Restart(WorkerExit),
    /// Because the worker is to stop.
    Stop(WorkerExit),
}

/// Why a pause is over.
enum Resume {
    Due,
    Restart,
    Stop,
}

impl Worker {
    pub(super) fn new(spec: WorkerSpec, factory: Factory, clock: Arc<dyn Clock>) -> Self {
        Self {
            spec,
            factory,
            status: Mutex::new(Status::new(clock.wall())),
            clock,
            restart: Notify::new(),
            struck: Arc::default(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.spec.name
    }

    pub(super) const fn grace(&self) -> Duration {
        self.spec.grace
    }

    pub(super) fn view(&self) -> WorkerView {
        self.status.lock().view(&self.spec)
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.spec.critical || self.status.lock().is_well()
    }

    pub(super) fn was_aborted(&self) -> bool {
        self.status.lock().aborted
    }

    /// Asks for a new start; false where the worker has ended for good.
    pub(super) fn restart(&self) -> bool {
        self.restart.notify_one();
        !self.ended.is_cancelled()
    }

    /// Makes its run panic, or its next one.
    pub(super) fn strike(&self) {
        self.struck.notify_one();
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn kill(&self) {
        self.kill.cancel();
    }

    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The monitor: returns when the worker has ended for good.
    pub(super) async fn supervise(self: Arc<Self>, runs: TaskSet) {
        // Also said when the monitor itself is aborted.
        let _ended = self.ended.clone().drop_guard();
        let mut history = History::default();
        loop {
            let end = self.run(&runs, &mut history).await;
            self.status.lock().end(end.exit(), self.clock.wall());
            let resume = match &end {
                RunEnd::Stop(_) => Resume::Stop,
                RunEnd::Restart(_) => Resume::Restart,
                RunEnd::Alone(exit) => self.pause(exit, &mut history).await,
            };
            match resume {
                Resume::Stop => break,
                Resume::Due => {}
                Resume::Restart => self.forgive(&mut history),
            }
            self.status.lock().restarts += 1;
        }
        self.enter(WorkerState::Stopped);
    }

    /// One run, from its start until nothing of it is left.
    async fn run(&self, runs: &TaskSet, history: &mut History) -> RunEnd {
        let pulse = Pulse::new(Arc::clone(&self.clock));
        self.status.lock().begin(Arc::clone(&pulse), self.clock.wall());
        let mut run =
            Run::start(runs, self.spec.name, &self.factory, Arc::clone(&pulse), Arc::clone(&self.struck));
        let proved = async {
            sleep(HEALTHY_AFTER).await;
            self.forgive(history);
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            exit = run.ended() => RunEnd::Alone(exit),
            () = self.stop.cancelled() => RunEnd::Stop(self.wind_down(&mut run).await),
            () = self.restart.notified() => RunEnd::Restart(self.wind_down(&mut run).await),
            silence = stalled(pulse, self.spec.stall_after) => {
                self.abort_stalled(&mut run, silence).await;
                RunEnd::Alone(WorkerExit::Stalled(silence))
            }
            never = proved => match never {},
        }
    }

    /// Asks the run to end, and aborts it after its grace.
    async fn wind_down(&self, run: &mut Run) -> WorkerExit {
        self.enter(WorkerState::Stopping);
        let asked = tokio::select! {
            biased;
            exit = run.ask(self.spec.grace) => exit,
            () = self.kill.cancelled() => None,
        };
        if let Some(exit) = asked {
            if let Some((kind, reason)) = exit.failure() {
                tracing::warn!(worker = self.spec.name, %kind, reason, "worker failed while it was stopping");
            }
            return exit;
        }
        self.status.lock().aborted = true;
        tracing::warn!(worker = self.spec.name, grace = ?self.spec.grace, "worker did not end in time: aborting it");
        run.abort(&self.kill).await
    }

    async fn abort_stalled(&self, run: &mut Run, silence: Duration) {
        tracing::error!(worker = self.spec.name, ?silence, "worker gives no heartbeat: aborting it");
        self.status.lock().stall(self.clock.wall());
        run.abort(&self.kill).await;
        if self.kill.is_cancelled() {
            self.status.lock().aborted = true;
        }
    }

    /// Decides what follows `exit`, says so, and waits until it is due or somebody asks.
    async fn pause(&self, exit: &WorkerExit, history: &mut History) -> Resume {
        let next = history.next(&self.spec, exit, self.clock.mono(), jitter());
        self.announce(exit, next);
        let due = async {
            match next {
                Next::Rest => std::future::pending().await,
                Next::Restart(pause) | Next::Quarantine(pause) => sleep(pause).await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Resume::Stop,
            () = self.restart.notified() => Resume::Restart,
            () = due => Resume::Due,
        }
    }

    fn announce(&self, exit: &WorkerExit, next: Next) {
        let worker = self.spec.name;
        match next {
            Next::Rest => {
                self.enter(WorkerState::Stopped);
                match exit.failure() {
                    Some((kind, reason)) => {
                        tracing::error!(worker, %kind, reason, "worker failed and is not restarted");
                    }
                    None => tracing::debug!(worker, "worker is done"),
                }
            }
            Next::Restart(pause) => {
                self.enter(WorkerState::BackingOff);
                match exit.failure() {
                    Some((kind, reason)) => {
                        tracing::warn!(worker, %kind, reason, restart_in = ?pause, "worker failed");
                    }
                    None => tracing::debug!(worker, restart_in = ?pause, "worker is done and will run again"),
                }
            }
            Next::Quarantine(retry) => {
                self.enter(WorkerState::Quarantined);
                self.status.lock().set_quarantined(true);
                let reason = exit.failure().map(|(_, reason)| reason);
                tracing::error!(worker, reason, retry_in = ?retry, "worker fails too often and is quarantined");
            }
        }
    }

    /// Failures are forgotten: the run has proved healthy, or somebody asked for a new start.
    fn forgive(&self, history: &mut History) {
        if history.is_quarantined() {
            tracing::info!(worker = self.spec.name, "worker leaves quarantine");
        }
        history.forget();
        self.status.lock().set_quarantined(false);
    }

    fn enter(&self, state: WorkerState) {
        self.status.lock().enter(state, self.clock.wall());
    }
}

impl RunEnd {
    const fn exit(&self) -> &WorkerExit {
        match self {
            Self::Alone(exit) | Self::Restart(exit) | Self::Stop(exit) => exit,
        }
    }
}
