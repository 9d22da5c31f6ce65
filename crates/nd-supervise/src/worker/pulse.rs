//! What a run of a worker is given, and its sign of life.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Clock, Mono};

/// Given to each run of a worker.
#[derive(Clone, Debug)]
pub struct WorkerContext {
    /// Cancelled when the run is to end: finish what is at hand, then return.
    pub shutdown: CancellationToken,
    pulse: Arc<Pulse>,
}

impl WorkerContext {
    pub(crate) const fn new(shutdown: CancellationToken, pulse: Arc<Pulse>) -> Self {
        Self { shutdown, pulse }
    }

    /// Says that the worker is alive; cheap enough for every turn of its loop. See
    /// [`WorkerSpec::stall_after`](crate::WorkerSpec::stall_after).
    pub fn heartbeat(&self) {
        self.pulse.beat();
    }
}

/// When a run last said that it is alive.
pub(crate) struct Pulse {
    clock: Arc<dyn Clock>,
    started: Mono,
    /// Nanoseconds of [`Mono`], good for 584 years; 0: not yet.
    last: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let started = clock.mono();
        Arc::new(Self { clock, started, last: AtomicU64::new(0) })
    }

    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.clock.mono().0.as_nanos()).unwrap_or(u64::MAX);
        self.last.store(now.max(1), Ordering::Relaxed);
    }

    /// Time since the last heartbeat; none before the first.
    pub(crate) fn age(&self) -> Option<Duration> {
        let last = self.last()?;
        Some(self.clock.mono().saturating_since(last))
    }

    /// Time since the last heartbeat, or since the start before the first.
    pub(crate) fn silence(&self) -> Duration {
        self.clock.mono().saturating_since(self.last().unwrap_or(self.started))
    }

    fn last(&self) -> Option<Mono> {
        match self.last.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Mono(Duration::from_nanos(nanos))),
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("age", &self.age()).finish_non_exhaustive()
    }
}
