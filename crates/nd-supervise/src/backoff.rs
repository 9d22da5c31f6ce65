//! Growing pauses between attempts.

use std::time::Duration;

/// `first`, then `factor` times as long with each attempt, never longer than `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Pause before the first new attempt.
    pub first: Duration,
    /// By how much each pause is longer than the one before it.
    pub factor: u32,
    /// The longest pause.
    pub cap: Duration,
}

impl Backoff {
    /// The pause before new attempt number `attempt`, counted from 0.
    ///
    /// `jitter` (0 to 1) shortens it by up to a half, so that what failed together does not return together; 0 gives
    /// the nominal pause.
    #[must_use]
    pub fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let growth = self.factor.saturating_pow(attempt);
        let nominal = self.first.saturating_mul(growth).min(self.cap);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
        nominal.mul_f64(1.0 - jitter / 2.0)
    }
}

/// A random number from 0 to below 1, for [`Backoff::delay`].
#[must_use]
pub fn jitter() -> f64 {
    // Without a source of randomness a constant does: jitter spreads load, it keeps no secret.
    let random = getrandom::u64().unwrap_or(u64::MAX / 2);
    // A double holds 53 bits exactly.
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(500), factor: 2, cap: Duration::from_secs(30) };

    #[test]
    fn each_pause_is_longer_until_the_cap() {
        let pauses: Vec<u128> = (0..8).map(|attempt| BACKOFF.delay(attempt, 0.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn jitter_takes_away_at_most_a_half() {
        assert_eq!(BACKOFF.delay(1, 1.0), Duration::from_millis(500));
        assert_eq!(BACKOFF.delay(1, 0.5), Duration::from_millis(750));
        assert_eq!(BACKOFF.delay(1, 7.0), Duration::from_millis(500));
        assert_eq!(BACKOFF.delay(1, f64::NAN), Duration::from_secs(1));
    }

    #[test]
    fn no_number_of_attempts_overflows() {
        assert_eq!(BACKOFF.delay(u32::MAX, 0.0), BACKOFF.cap);
        let endless = Backoff { cap: Duration::MAX, ..BACKOFF };
        assert!(endless.delay(u32::MAX, 0.0) > Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_random_jitter_lies_between_zero_and_one() {
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&jitter()));
        }
    }
}
