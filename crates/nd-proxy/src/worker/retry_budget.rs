//! How many requests may be sent again: a dead unit must not double the load of the others.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// What a retry costs.
const RETRY: u32 = 100;
/// What each request pays in: a fifth of a retry.
const DEPOSIT: u32 = 20;
/// What can be saved up: ten retries.
const MOST: u32 = 10 * RETRY;
/// An app with few requests may retry so many each second all the same.
const RESERVE: u32 = 5 * RETRY;
const RESERVE_EVERY: Duration = Duration::from_secs(1);

/// One worker's budget for one app.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    balance: Cell<u32>,
    reserve_at: Cell<Option<Instant>>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { balance: Cell::new(MOST), reserve_at: Cell::new(None) }
    }
}

impl RetryBudget {
    /// A request is sent for the first time.
    pub(crate) fn deposit(&self) {
        self.balance.set((self.balance.get() + DEPOSIT).min(MOST));
    }

    /// Pays for a retry, if it can be paid for.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        if self.balance.get() < RETRY && self.reserve_at.get().is_none_or(|at| at <= now) {
            self.reserve_at.set(Some(now + RESERVE_EVERY));
            self.balance.set(self.balance.get() + RESERVE);
        }
        match self.balance.get().checked_sub(RETRY) {
            Some(rest) => {
                self.balance.set(rest);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_requests_may_be_repeated_and_a_few_each_second() {
        let budget = RetryBudget::default();
        let retries = |requests: usize| {
            let now = Instant::now();
            (0..requests).inspect(|_| budget.deposit()).filter(|_| budget.withdraw(now)).count()
        };
        let begin = retries(1000);
        assert!((200..=220).contains(&begin), "{begin}");
        let then = retries(1000);
        assert!((195..=205).contains(&then), "{then}");
        tokio::time::advance(RESERVE_EVERY).await;
        assert_eq!(retries(5), 5);
    }
}
