//! When a unit that ended may start again. Pure: time and chance come from the caller.

use std::collections::VecDeque;
use std::time::Duration;

use nd_supervise::Mono;
use nd_types::ExitStatus;

use crate::spec::RestartSpec;

/// How often a unit crashed lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashHistory {
    /// Times of crashes within the window, oldest first.
    recent: VecDeque<Mono>,
    /// Restarts in a row without the unit having run for `min_uptime`.
    streak: u32,
    /// Restarts in all, since the user last asked for the app to run.
    total: u32,
    /// When the next start may happen.
    verdict: Verdict,
}

/// What the policy says after an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing stands in the way of a start.
    #[default]
    Free,
    /// Start again at this time.
    At(Mono),
    /// A crash loop: one more attempt at this time.
    Loop {
        /// When.
        retry: Mono,
        /// Crashes counted within the window.
        crashes: u32,
    },
    /// Do not start again.
    Final,
}

impl Verdict {
    /// Whether nothing more is tried for now.
    #[must_use]
    pub fn gives_up(self) -> bool {
        matches!(self, Self::Loop { .. } | Self::Final)
    }
}

impl CrashHistory {
    /// Counts an exit after `uptime` and answers what the policy says. `jitter` is between 0 and 1.
    pub fn record(
        &mut self,
        exit: ExitStatus,
        uptime: Duration,
        now: Mono,
        policy: &RestartSpec,
        jitter: f64,
    ) -> Verdict {
        self.verdict = self.judge(exit, uptime, now, policy, jitter);
        self.verdict
    }

    fn judge(
        &mut self,
        exit: ExitStatus,
        uptime: Duration,
        now: Mono,
        policy: &RestartSpec,
        jitter: f64,
    ) -> Verdict {
        let stop_code = matches!(exit, ExitStatus::Code(code) if policy.stop_exit_codes.contains(&code));
        if stop_code
            || !policy.policy.restarts_after(exit)
            || policy.max_restarts.is_some_and(|max| self.total >= max)
        {
            return Verdict::Final;
        }
        self.total = self.total.saturating_add(1);
        if uptime >= policy.min_uptime {
            self.recent.clear();
            self.streak = 0;
        } else {
            self.recent.push_back(now);
        }
        while self.recent.front().is_some_and(|at| now.saturating_since(*at) > policy.crash_window) {
            self.recent.pop_front();
        }
        let crashes = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if policy.crash_threshold > 0 && crashes >= policy.crash_threshold {
            return Verdict::Loop { retry: now + policy.cooldown, crashes };
        }
        let delay = backoff(self.streak, policy, jitter);
        self.streak = self.streak.saturating_add(1);
        Verdict::At(now + delay)
    }

    /// What the policy said last.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many restarts the policy has granted since the user last asked for the app to run.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The unit was started: what was said about the last exit no longer matters.
    pub fn started(&mut self) {
        self.verdict = Verdict::Free;
    }

    /// The user asked for the app to run: forget everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The first restart follows at once (unless a delay was declared); then the delay grows, with up to a quarter taken off
/// by chance so that units which crashed together do not start together.
fn backoff(streak: u32, policy: &RestartSpec, jitter: f64) -> Duration {
    let steps = match (streak, policy.delay_declared) {
        (0, false) => return Duration::ZERO,
        (streak, true) => streak,
        (streak, false) => streak - 1,
    };
    let factor = policy.backoff_factor.max(1).saturating_pow(steps);
    let full = policy.delay.saturating_mul(factor).min(policy.max_delay);
    full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RestartPolicy;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn crash(history: &mut CrashHistory, now: Mono, policy: &RestartSpec) -> Verdict {
        history.record(ExitStatus::Code(1), Duration::from_secs(1), now, policy, 0.0)
    }

    #[test]
    fn the_first_restart_follows_at_once_and_later_ones_wait_longer() {
        let (mut history, policy) =
            (CrashHistory::default(), RestartSpec { crash_threshold: 0, ..RestartSpec::default() });
        let waits: Vec<_> = (0..9)
            .map(|_| match crash(&mut history, at(100), &policy) {
                Verdict::At(when) => when.saturating_since(at(100)).as_millis(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(waits, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn five_crashes_within_a_minute_are_a_crash_loop() {
        let (mut history, policy) = (CrashHistory::default(), RestartSpec::default());
        for second in 1..5 {
            assert!(matches!(crash(&mut history, at(second), &policy), Verdict::At(_)));
        }
        assert_eq!(crash(&mut history, at(5), &policy), Verdict::Loop { retry: at(305), crashes: 5 });
    }

    #[test]
    fn crashes_spread_over_more_than_the_window_are_no_loop() {
        let (mut history, policy) = (CrashHistory::default(), RestartSpec::default());
        for n in 0..20 {
            assert!(matches!(crash(&mut history, at(n * 20), &policy), Verdict::At(_)));
        }
    }

    #[test]
    fn a_unit_that_ran_long_enough_starts_again_at_once() {
        let (mut history, policy) = (CrashHistory::default(), RestartSpec::default());
        crash(&mut history, at(1), &policy);
        crash(&mut history, at(2), &policy);
        let verdict = history.record(ExitStatus::Code(1), policy.min_uptime, at(20), &policy, 0.0);
        assert_eq!(verdict, Verdict::At(at(20)));
    }

    #[test]
    fn the_policy_says_which_exits_count() {
        let on_failure = RestartSpec { policy: RestartPolicy::OnFailure, ..RestartSpec::default() };
        let mut history = CrashHistory::default();
        assert_eq!(
            history.record(ExitStatus::Code(0), Duration::ZERO, at(1), &on_failure, 0.0),
            Verdict::Final
        );
        let limited = RestartSpec { max_restarts: Some(1), ..RestartSpec::default() };
        let mut history = CrashHistory::default();
        assert!(matches!(crash(&mut history, at(1), &limited), Verdict::At(_)));
        assert_eq!(crash(&mut history, at(2), &limited), Verdict::Final);
    }
}
