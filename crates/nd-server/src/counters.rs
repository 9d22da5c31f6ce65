//! Errors of the daemon itself, counted by minute.

use std::collections::VecDeque;
use std::time::Duration;

use nd_api::flat::HealthErrors;
use nd_supervise::Mono;
use parking_lot::Mutex;

/// Counts errors, and how many of them came within the last minute and hour.
#[derive(Debug, Default)]
pub struct ErrorLog {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    /// Minute and errors in it, oldest first; at most an hour of them.
    minutes: VecDeque<(u64, u64)>,
}

const HOUR: u64 = 60;

impl ErrorLog {
    /// Counts one error.
    pub fn record(&self, now: Mono) {
        let minute = minute_of(now);
        let mut counts = self.counts.lock();
        counts.total += 1;
        match counts.minutes.back_mut() {
            Some((last, errors)) if *last == minute => *errors += 1,
            _ => counts.minutes.push_back((minute, 1)),
        }
        while counts.minutes.front().is_some_and(|(first, _)| minute.saturating_sub(*first) >= HOUR) {
            counts.minutes.pop_front();
        }
    }

    /// What was counted; the last minute is the one that runs and the one before it.
    #[must_use]
    pub fn counts(&self, now: Mono) -> HealthErrors {
        let minute = minute_of(now);
        let counts = self.counts.lock();
        let since = |age: u64| {
            let recent = counts.minutes.iter().filter(|(at, _)| minute.saturating_sub(*at) <= age);
            recent.map(|(_, errors)| errors).sum()
        };
        HealthErrors { total: counts.total, last_hour: since(HOUR - 1), last_minute: since(1) }
    }
}

fn minute_of(now: Mono) -> u64 {
    now.0.as_secs() / Duration::from_secs(60).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_leave_the_last_minute_and_the_last_hour() {
        let at = |minutes: u64| Mono(Duration::from_secs(minutes * 60));
        let log = ErrorLog::default();
        log.record(at(0));
        log.record(at(30));
        log.record(at(30));
        assert_eq!(log.counts(at(30)), HealthErrors { total: 3, last_hour: 3, last_minute: 2 });
        assert_eq!(log.counts(at(61)), HealthErrors { total: 3, last_hour: 2, last_minute: 0 });
        log.record(at(200));
        assert_eq!(log.counts(at(200)), HealthErrors { total: 4, last_hour: 1, last_minute: 1 });
    }
}
