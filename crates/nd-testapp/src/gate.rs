//! Counts what is in flight, and tells everyone when to stop.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The one place that knows whether the application is stopping and how much it still has to answer.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// One exchange in flight; it is over when this is dropped.
#[derive(Debug)]
pub struct Busy<'a>(&'a Gate);

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    busy: usize,
}

impl Gate {
    /// Counts one exchange in.
    pub fn enter(&self) -> Busy<'_> {
        self.lock().busy += 1;
        Busy(self)
    }

    /// Says to everyone that the application stops.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Whether the application stops.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits for `time`, or until the application stops: then the answer is true.
    #[must_use]
    pub fn pause(&self, time: Duration) -> bool {
        self.wait_for(time, |state| state.stopping)
    }

    /// Waits until nothing is in flight, but no longer than `limit`; true if nothing is.
    #[must_use]
    pub fn wait_idle(&self, limit: Duration) -> bool {
        self.wait_for(limit, |state| state.busy == 0)
    }

    fn wait_for(&self, limit: Duration, done: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_idle_when_the_last_exchange_is_over() {
        let gate = Gate::default();
        let busy = gate.enter();
        assert!(!gate.wait_idle(Duration::ZERO));
        drop(busy);
        assert!(gate.wait_idle(Duration::ZERO));
    }

    #[test]
    fn a_pause_ends_at_once_when_the_application_stops() {
        let gate = Gate::default();
        std::thread::scope(|scope| {
            scope.spawn(|| gate.stop());
            assert!(gate.pause(Duration::from_secs(30)));
        });
        assert!(gate.stopping());
    }
}
