//! When a command that has ended is started again.

use std::collections::VecDeque;
use std::time::Duration;

use nd_types::ExitStatus;
use serde::{Deserialize, Serialize};

/// When to start again, and when to give up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// From a crash to the next start. Default 1 s.
    pub restart_delay: Duration,
    /// So many crashes within the window end it. Default 5: a command that cannot start has shown so by then.
    pub crash_threshold: u32,
    /// Default 60 s.
    pub crash_window: Duration,
    /// Starts after crashes in all; `None` means no limit.
    pub max_restarts: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart_delay: Duration::from_secs(1),
            crash_threshold: 5,
            crash_window: Duration::from_secs(60),
            max_restarts: None,
        }
    }
}

/// What follows the end of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ended well: so does eternal mode.
    Done,
    /// Start it again after this time.
    Again(Duration),
    /// Whoever watches over eternal mode takes over, for this reason.
    GiveUp(String),
}

/// What has happened so far. Times are counted from the start of eternal mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Starts after the first one, for whatever reason.
    pub(crate) restarts: u64,
    /// Ends that were no success, and starts that failed.
    pub(crate) crashes: u64,
    /// Crashes within the window.
    recent: VecDeque<Duration>,
    /// Starts after crashes since the last one that somebody asked for.
    after_crash: u32,
}

impl Tally {
    /// The command has ended by itself, or could not be started.
    pub(crate) fn ended(&mut self, policy: &Policy, exit: ExitStatus, now: Duration) -> Verdict {
        if exit.is_success() {
            return Verdict::Done;
        }
        self.crashes += 1;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.saturating_sub(*at) >= policy.crash_window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= usize::try_from(policy.crash_threshold).unwrap_or(usize::MAX) {
            let window = nd_types::format_duration(policy.crash_window);
            return Verdict::GiveUp(format!("{} crashes within {window}", self.recent.len()));
        }
        if let Some(most) = policy.max_restarts.filter(|most| self.after_crash >= *most) {
            return Verdict::GiveUp(format!("it was started again {most} times, the most it may be"));
        }
        self.after_crash += 1;
        Verdict::Again(policy.restart_delay)
    }

    /// Somebody wants it to be started again: what was before counts no more.
    pub(crate) fn asked(&mut self) {
        self.recent.clear();
        self.after_crash = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CRASH: ExitStatus = ExitStatus::Code(1);

    fn verdicts(policy: &Policy, at: &[u64]) -> Vec<Verdict> {
        let mut tally = Tally::default();
        at.iter().map(|at| tally.ended(policy, CRASH, Duration::from_secs(*at))).collect()
    }

    fn again() -> Verdict {
        Verdict::Again(Duration::from_secs(1))
    }

    #[test]
    fn the_fifth_crash_within_a_minute_is_the_last_one() {
        let found = verdicts(&Policy::default(), &[0, 10, 20, 30, 59]);
        assert_eq!(found.get(..4), Some(&[again(), again(), again(), again()][..]));
        assert_eq!(found.last(), Some(&Verdict::GiveUp("5 crashes within 1m0s".to_owned())));
    }

    #[test]
    fn a_crash_counts_for_a_minute_and_no_longer() {
        assert!(verdicts(&Policy::default(), &[0, 10, 20, 30, 60, 70, 80]).iter().all(|v| *v == again()));
    }

    #[test]
    fn success_ends_it_and_is_no_crash_while_a_signal_is_one() {
        let mut tally = Tally::default();
        assert_eq!(tally.ended(&Policy::default(), ExitStatus::Code(0), Duration::ZERO), Verdict::Done);
        assert_eq!(tally.crashes, 0);
        assert_eq!(tally.ended(&Policy::default(), ExitStatus::Signal(9), Duration::ZERO), again());
        assert_eq!(tally.crashes, 1);
    }

    #[test]
    fn a_number_of_restarts_can_be_the_most() {
        let policy = Policy { max_restarts: Some(2), crash_threshold: 9, ..Policy::default() };
        let found = verdicts(&policy, &[0, 1, 2]);
        assert_eq!(found.get(..2), Some(&[again(), again()][..]));
        assert!(matches!(found.last(), Some(Verdict::GiveUp(why)) if why.contains("2 times")));
    }

    #[test]
    fn a_restart_that_was_asked_for_forgives_what_was_before() {
        let mut tally = Tally::default();
        for at in 0..4 {
            tally.ended(&Policy::default(), CRASH, Duration::from_secs(at));
        }
        tally.asked();
        assert_eq!(tally.ended(&Policy::default(), CRASH, Duration::from_secs(5)), again());
        assert_eq!(tally.crashes, 5);
    }

    proptest! {
        #[test]
        fn it_gives_up_exactly_when_the_window_holds_as_many_crashes_as_it_may(
            gaps in prop::collection::vec(0u64..40, 1..40), threshold in 1u32..7, window in 1u64..90,
        ) {
            let policy = Policy {
                crash_threshold: threshold, crash_window: Duration::from_secs(window), ..Policy::default()
            };
            let mut tally = Tally::default();
            let (mut now, mut times) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                times.push(now);
                let within = times.iter().filter(|at| now - **at < window).count();
                let gave_up = matches!(tally.ended(&policy, CRASH, Duration::from_secs(now)), Verdict::GiveUp(_));
                prop_assert_eq!(gave_up, within >= threshold as usize);
            }
        }
    }
}
