//! Errors of the daemon itself, counted by second.

use nd_api::flat::HealthErrors;
use nd_supervise::Mono;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Counts errors, and how many of them came within the last minute and hour.
#[derive(Debug, Default)]
pub struct ErrorLog {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    /// Second and errors in it, oldest first; at most an hour of them.
    seconds: VecDeque<(u64, u64)>,
}

const MINUTE: u64 = 60;

const HOUR: u64 = 60 * MINUTE;

impl ErrorLog {
    /// Counts one error.
    pub fn record(&self, now: Mono) {
        let second = now.0.as_secs();
        let mut counts = self.counts.lock();
        counts.total += 1;
        match counts.seconds.back_mut() {
            Some((last, errors)) if *last == second => *errors += 1,
            _ => counts.seconds.push_back((second, 1)),
        }
        while counts.seconds.front().is_some_and(|(first, _)| second.saturating_sub(*first) >= HOUR) {
            counts.seconds.pop_front();
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self, now: Mono) -> HealthErrors {
        let second = now.0.as_secs();
        let counts = self.counts.lock();
        let within = |age: u64| {
            let recent = counts.seconds.iter().rev().take_while(|(at, _)| second.saturating_sub(*at) < age);
            recent.map(|(_, errors)| errors).sum()
        };
        HealthErrors { total: counts.total, last_hour: within(HOUR), last_minute: within(MINUTE) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn errors_leave_the_last_minute_and_the_last_hour() {
        let at = |seconds: u64| Mono(Duration::from_secs(seconds));
        let log = ErrorLog::default();
        log.record(at(10));
        log.record(at(1000));
        log.record(at(1030));
        let counted = |seconds| {
            let HealthErrors { total, last_hour, last_minute } = log.counts(at(seconds));
            (total, last_hour, last_minute)
        };
        assert_eq!(counted(1030), (3, 3, 2));
        assert_eq!(counted(1059), (3, 3, 2));
        assert_eq!(counted(1060), (3, 3, 1), "a minute has passed since the second one");
        assert_eq!(counted(3610), (3, 2, 0), "an hour has passed since the first one");
        log.record(at(9000));
        assert_eq!(counted(9000), (4, 1, 1));
        assert_eq!(log.counts.lock().seconds.len(), 1, "what is older is forgotten");
    }
}
