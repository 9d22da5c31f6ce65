//! Whether and when a worker that ended is started again: a pure decision.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Mono, RestartWhen, WorkerExit, WorkerSpec};

/// A run of this length proves a worker healthy; what failed before it is forgotten.
pub(super) const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// More failures than this within [`WINDOW`] lead to quarantine.
const CEILING: usize = 10;
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// How often a quarantined worker is tried.
const RETRY: Duration = Duration::from_secs(5 * 60);

/// What is remembered of a worker's ends.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Times of the last failures, the oldest first, at most one over the ceiling.
    failures: VecDeque<Mono>,
    /// Restarts since the last health.
    attempt: u32,
    quarantined: bool,
}

/// What follows a worker's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until somebody asks.
    Rest,
    /// A start after this pause.
    Restart(Duration),
    /// Quarantine, and one more try after this pause.
    Quarantine(Duration),
}

impl History {
    /// Decides what follows `exit`, seen at `now`; for `jitter` see [`Backoff::delay`](crate::Backoff::delay).
    pub(super) fn next(&mut self, spec: &WorkerSpec, exit: &WorkerExit, now: Mono, jitter: f64) -> Next {
        let failed = exit.failure().is_some();
        let again = match spec.restart {
            // Cancelled without our doing: the runtime goes down.
            _ if *exit == WorkerExit::Cancelled => false,
            RestartWhen::Always => true,
            RestartWhen::OnFailure => failed,
            RestartWhen::Never => false,
        };
        if !again {
            return Next::Rest;
        }
        if failed && self.is_too_often(now) {
            return Next::Quarantine(RETRY);
        }
        let pause = spec.backoff.delay(self.attempt, jitter);
        self.attempt = self.attempt.saturating_add(1);
        Next::Restart(pause)
    }

    /// Forgets all failures: the worker has proved healthy, or somebody asked for a new start.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn is_quarantined(&self) -> bool {
        self.quarantined
    }

    /// Notes a failure. A quarantined worker stays so until it has been healthy, however long ago it failed.
    fn is_too_often(&mut self, now: Mono) -> bool {
        self.failures.retain(|at| now.saturating_since(*at) < WINDOW);
        self.failures.push_back(now);
        if self.failures.len() > CEILING {
            self.failures.pop_front();
            self.quarantined = true;
        }
        self.quarantined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: WorkerSpec = WorkerSpec::new("test");

    fn failed() -> WorkerExit {
        WorkerExit::Failed("broken".to_owned())
    }

    fn second(n: u64) -> Mono {
        Mono(Duration::from_secs(n))
    }

    #[test]
    fn pauses_grow_and_start_over_after_health() {
        let mut history = History::default();
        let ms = |n| Next::Restart(Duration::from_millis(n));
        assert_eq!(history.next(&SPEC, &failed(), second(0), 0.0), ms(100));
        assert_eq!(history.next(&SPEC, &failed(), second(1), 0.0), ms(200));
        assert_eq!(history.next(&SPEC, &WorkerExit::Panicked("x".to_owned()), second(2), 0.0), ms(400));
        history.forget();
        assert_eq!(history.next(&SPEC, &failed(), second(3), 0.0), ms(100));
    }

    #[test]
    fn the_eleventh_failure_within_five_minutes_is_quarantine() {
        let mut history = History::default();
        for n in 0..10 {
            assert!(matches!(history.next(&SPEC, &failed(), second(n * 29), 0.0), Next::Restart(_)));
        }
        assert_eq!(history.next(&SPEC, &failed(), second(299), 0.0), Next::Quarantine(RETRY));
    }

    #[test]
    fn slow_failures_never_lead_to_quarantine() {
        let mut history = History::default();
        for n in 0..100 {
            assert!(matches!(history.next(&SPEC, &failed(), second(n * 31), 0.0), Next::Restart(_)));
        }
        assert!(!history.is_quarantined());
    }

    #[test]
    fn a_failed_retry_leads_back_to_quarantine_until_health() {
        let mut history = History::default();
        for n in 0..11 {
            history.next(&SPEC, &failed(), second(n), 0.0);
        }
        assert_eq!(history.next(&SPEC, &failed(), second(4000), 0.0), Next::Quarantine(RETRY));
        history.forget();
        assert!(matches!(history.next(&SPEC, &failed(), second(4001), 0.0), Next::Restart(_)));
    }

    #[test]
    fn work_that_is_done_is_not_repeated_unless_always() {
        let mut history = History::default();
        assert_eq!(history.next(&SPEC, &WorkerExit::Done, second(0), 0.0), Next::Rest);
        let never = SPEC.restart(RestartWhen::Never);
        assert_eq!(history.next(&never, &failed(), second(0), 0.0), Next::Rest);
        let always = SPEC.restart(RestartWhen::Always);
        for n in 0..50 {
            assert!(matches!(history.next(&always, &WorkerExit::Done, second(n), 0.0), Next::Restart(_)));
        }
    }

    #[test]
    fn a_worker_cancelled_by_the_runtime_rests() {
        let always = SPEC.restart(RestartWhen::Always);
        assert_eq!(History::default().next(&always, &WorkerExit::Cancelled, second(0), 0.0), Next::Rest);
    }
}
