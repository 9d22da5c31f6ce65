//! A clock that a test turns by hand.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nd_supervise::{Clock, Mono, SystemClock};
use parking_lot::Mutex;

/// Time that goes by with tokio's, also where that is paused: both clocks move when the test sleeps or advances, and
/// stand still otherwise. The wall clock begins at a fixed moment, and can be set like that of a host.
#[derive(Debug)]
pub struct TestClock {
    began: Mono,
    ahead: Mutex<SignedDuration>,
}

impl TestClock {
    /// What the wall clock showed in the beginning: 2026-01-01T00:00:00Z.
    pub const BEGIN: Timestamp = Timestamp::constant(1_767_225_600, 0);

    /// A clock that begins now. Make it inside the tokio runtime whose time it follows.
    #[must_use]
    pub fn new() -> Self {
        Self { began: SystemClock.mono(), ahead: Mutex::new(SignedDuration::ZERO) }
    }

    /// Sets the wall clock forward or back, as an administrator or NTP does. Monotonic time never notices.
    pub fn set_ahead(&self, by: SignedDuration) {
        *self.ahead.lock() += by;
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn mono(&self) -> Mono {
        SystemClock.mono()
    }

    fn wall(&self) -> Timestamp {
        let passed: Duration = self.mono().saturating_since(self.began);
        let shown = Self::BEGIN.saturating_add(passed).unwrap_or(Self::BEGIN);
        shown.saturating_add(*self.ahead.lock()).unwrap_or(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_go_by_with_the_time_of_the_test() {
        let clock = TestClock::new();
        let before = clock.mono();
        assert_eq!(clock.wall(), TestClock::BEGIN);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.mono().saturating_since(before), Duration::from_secs(90));
        assert_eq!(clock.wall().duration_since(TestClock::BEGIN), SignedDuration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn setting_the_wall_clock_leaves_measured_time_alone() {
        let clock = TestClock::new();
        let before = clock.mono();
        clock.set_ahead(SignedDuration::from_hours(-1));
        assert_eq!(clock.wall().duration_since(TestClock::BEGIN), SignedDuration::from_hours(-1));
        assert_eq!(clock.mono(), before);
    }
}
