//! What a worker's author says about it.

use std::time::Duration;

use crate::Backoff;

/// When a worker that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartWhen {
    /// However it ended.
    Always,
    /// After an error, a panic or a stall; `Ok` means that its work is done.
    OnFailure,
    /// Only when asked by [`Supervisor::restart`](crate::Supervisor::restart).
    Never,
}

/// One long-lived task of the daemon, and how it is to be treated.
///
/// ```
/// # use std::time::Duration;
/// # use nd_supervise::WorkerSpec;
/// const SPEC: WorkerSpec =
///     WorkerSpec::new("store-writer").critical().grace(Duration::from_secs(10)).stall_after(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WorkerSpec {
    /// Unique within a supervisor; stands in log lines and in the list of workers.
    pub name: &'static str,
    /// When it is started again.
    pub restart: RestartWhen,
    /// Pause before it is started again; starts over after a minute of health.
    pub backoff: Backoff,
    /// How long it may take to end when it is asked to; then it is aborted.
    pub grace: Duration,
    /// Whether the daemon is unhealthy without it.
    pub critical: bool,
    /// Longest time without a heartbeat; longer means stalled. None: it gives no heartbeats.
    pub stall_after: Option<Duration>,
    /// Workers it needs: added before it, stopped after it.
    pub after: &'static [&'static str],
}

impl WorkerSpec {
    /// A worker that is restarted on failure (100 ms, doubling, at most 30 s), has 5 s to end, is not critical, gives
    /// no heartbeats and needs no other worker.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            restart: RestartWhen::OnFailure,
            backoff: Backoff { first: Duration::from_millis(100), factor: 2, cap: Duration::from_secs(30) },
            grace: Duration::from_secs(5),
            critical: false,
            stall_after: None,
            after: &[],
        }
    }

    /// Sets when it is started again.
    #[must_use]
    pub const fn restart(self, restart: RestartWhen) -> Self {
        Self { restart, ..self }
    }

    /// Sets the pauses before it is started again.
    #[must_use]
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Sets how long it may take to end.
    #[must_use]
    pub const fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// The daemon is unhealthy without it.
    #[must_use]
    pub const fn critical(self) -> Self {
        Self { critical: true, ..self }
    }

    /// It calls [`WorkerContext::heartbeat`](crate::WorkerContext::heartbeat) well within every `age`.
    #[must_use]
    pub const fn stall_after(self, age: Duration) -> Self {
        Self { stall_after: Some(age), ..self }
    }

    /// It needs the workers with these names.
    #[must_use]
    pub const fn after(self, after: &'static [&'static str]) -> Self {
        Self { after, ..self }
    }
}
