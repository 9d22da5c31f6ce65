//! Units that fail requests are left out for a while, as long as there are others.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row …
const FAILURES: u32 = 3;
/// … and a unit is left out for so long, the second time for twice as long, …
const FIRST: Duration = Duration::from_secs(30);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(300);

/// How a unit has done lately, as one worker sees it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// In a row.
    failures: Cell<u32>,
    /// How often it was left out without having answered since.
    ejections: Cell<u32>,
    until: Cell<Option<Instant>>,
}

impl Record {
    /// It has answered, whatever it was.
    pub(crate) fn succeeded(&self) {
        if self.failures.get() > 0 || self.ejections.get() > 0 {
            self.failures.set(0);
            self.ejections.set(0);
            self.until.set(None);
        }
    }

    /// It could not be reached, broke off without an answer, answered with no HTTP, or not in time.
    pub(crate) fn failed(&self, now: Instant) {
        self.failures.set(self.failures.get().saturating_add(1));
        if self.failures.get() >= FAILURES && self.until.get().is_none_or(|until| until <= now) {
            let left_out = FIRST.saturating_mul(1 << self.ejections.get().min(8)).min(LONGEST);
            self.until.set(Some(now + left_out));
            self.ejections.set(self.ejections.get() + 1);
        }
    }

    /// Whether others are asked first. Once its time is over, a single failure is enough for the next.
    pub(crate) fn is_ejected(&self) -> bool {
        self.until.get().is_some_and(|until| until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_eject_and_each_time_for_longer() {
        let record = Record::default();
        let fail = |times| (0..times).for_each(|_| record.failed(Instant::now()));
        fail(2);
        record.succeeded();
        fail(2);
        assert!(!record.is_ejected(), "an answer in between counts");
        fail(1);
        assert!(record.is_ejected());
        tokio::time::advance(FIRST).await;
        assert!(!record.is_ejected());
        fail(1);
        tokio::time::advance(FIRST).await;
        assert!(record.is_ejected(), "twice as long");
        tokio::time::advance(FIRST).await;
        assert!(!record.is_ejected());
        record.succeeded();
        fail(1);
        assert!(!record.is_ejected(), "all is forgiven with an answer");
    }
}
