//! Time, as a value that can be replaced in tests.

use std::ops::Add;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Monotonic time since an arbitrary start, which is the same for all values of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub Duration);

impl Mono {
    /// How long ago `earlier` was; zero where it lies in the future.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// Where the daemon reads the time.
pub trait Clock: Send + Sync + 'static {
    /// Time for measuring: never goes back, not even when the host's clock is set.
    fn mono(&self) -> Mono;

    /// Time for people and records: may jump.
    fn wall(&self) -> jiff::Timestamp;
}

/// The host's clocks.
///
/// Monotonic time is tokio's, so that a test with paused time drives it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        let now = tokio::time::Instant::now().into_std();
        Mono(now.saturating_duration_since(*START))
    }

    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Some time before the first call: a runtime whose time was paused earlier must not see a clock that stands at zero.
static START: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(3600)).unwrap_or(now)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_drives_the_system_clock() {
        let before = SystemClock.mono();
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(SystemClock.mono().saturating_since(before), Duration::from_secs(90));
    }

    #[test]
    fn a_later_time_is_zero_ago() {
        let now = Mono(Duration::from_secs(5));
        assert_eq!(now.saturating_since(now + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn adding_to_the_end_of_time_stays_there() {
        assert_eq!(Mono(Duration::MAX) + Duration::from_secs(1), Mono(Duration::MAX));
    }
}
