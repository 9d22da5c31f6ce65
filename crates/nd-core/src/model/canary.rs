//! The trial of a release with some of the clients: judged at every reading, and at the end of each step.

use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{ReleaseId, StrategyName, Timestamp};

use super::traffic::{Compared, is_worse};
use super::{AppModel, Now};
use crate::diagnosis::Diagnosis;
use crate::ports::{AppTraffic, ReleaseTraffic};
use crate::records::{RolloutRecord, RolloutStage};
use crate::spec::{AbortRules, CanarySpec};

/// Fewer bad answers than these say nothing about the bounds that the user has set.
const LEAST_BAD: u64 = 5;

/// Fewer answers than these have no 95th percentile.
const LEAST_MEASURED: u64 = 20;

/// A release that is tried, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryStatus {
    /// The release.
    pub release: ReleaseId,
    /// How many of a hundred clients get it.
    pub percent: u8,
    /// Which step that is, from 1.
    pub step: u16,
    /// How many steps there are before it takes over.
    pub steps: u16,
    /// When the step ends, unless the release does badly.
    pub until: Option<Timestamp>,
}

impl AppModel {
    /// The deployment under way, while both releases serve so that the new one can be tried.
    fn trial(&self) -> Option<&RolloutRecord> {
        self.record.rollout.as_ref().filter(|rollout| {
            rollout.strategy == StrategyName::Canary
                && rollout.stage == RolloutStage::Advancing
                && rollout.mixed > 0
                && self.record.active.as_ref() != Some(&rollout.release)
        })
    }

    /// Whether a release is tried.
    pub(super) fn is_trial(&self) -> bool {
        self.trial().is_some()
    }

    fn trial_spec(&self) -> Option<&CanarySpec> {
        self.spec_of(&self.trial()?.release).map(|spec| &spec.rollout.canary)
    }

    /// When the step under way ends.
    fn step_ends(&self) -> Option<Timestamp> {
        let rollout = self
            .trial()
            .filter(|rollout| rollout.canary.watched < rollout.mixed && !rollout.canary.promoted)?;
        rollout.canary.since?.saturating_add(self.trial_spec()?.pause).ok()
    }

    /// A clock that was set back would make a step last until it has caught up: then the step begins anew.
    pub(super) fn mind_the_clock(&mut self, now: Now) {
        let Some(rollout) = &mut self.record.rollout else { return };
        if rollout.canary.since.is_some_and(|since| since > now.wall) {
            rollout.canary.since = Some(now.wall);
            self.touch(now);
        }
    }

    /// When the step under way ends, where that is still to come.
    pub(super) fn step_to_end(&self, now: Now) -> Option<Mono> {
        let left = Duration::try_from(self.step_ends()?.duration_since(now.wall)).ok()?;
        (!left.is_zero()).then(|| now.mono + left)
    }

    /// Whether the time of the step is over, and it is to be judged whether the next one begins.
    pub(super) fn is_step_over(&self, now: Now) -> bool {
        self.step_ends().is_some_and(|end| end <= now.wall)
    }

    /// Takes the release back where it does badly; lets it go on where it has done well for long enough.
    pub(super) fn judge_trial(&mut self, traffic: &AppTraffic, now: Now) {
        let Some((rollout, spec)) = self.trial().zip(self.trial_spec()) else { return };
        let Some(before) = rollout.before.as_deref() else { return };
        let grown = |release: &ReleaseId| traffic.of(release).since(&before.of(release));
        let new = grown(&rollout.release);
        let old = self.release_before(&rollout.release).map(|old| grown(&old)).unwrap_or_default();
        let worse = || is_worse(&old, &new, Compared::Beside);
        if let Some(why) = breaks(spec.abort_if, &new).or_else(worse) {
            let percent = self.canary_status().map_or(0, |canary| canary.percent);
            let what = format!("release {} with {percent}% of clients: {why}", rollout.release);
            return self.undo_rollout(Diagnosis::new(what), now);
        }
        // What gets no requests at the moment has not proved anything.
        let gets_requests = self.served.as_ref().is_some_and(|served| served.service.split.is_some());
        if self.is_step_over(now) && gets_requests {
            self.steps.say(&figures(&new));
            if let Some(rollout) = &mut self.record.rollout {
                rollout.canary.watched = rollout.mixed;
            }
            self.touch(now);
        }
    }

    /// The release that is tried.
    pub(super) fn canary_status(&self) -> Option<CanaryStatus> {
        let (rollout, spec) = self.trial().zip(self.trial_spec())?;
        let split = self.served.as_ref().and_then(|served| served.service.split.as_ref());
        Some(CanaryStatus {
            release: rollout.release.clone(),
            percent: split.map_or(0, |split| split.percent),
            step: rollout.mixed,
            steps: spec.count(),
            until: self.step_ends(),
        })
    }
}

/// Which bound of the user's the answers break.
fn breaks(rules: AbortRules, new: &ReleaseTraffic) -> Option<String> {
    let ReleaseTraffic { answers, failed, .. } = *new;
    if let Some(most) = rules.error_rate
        && failed >= LEAST_BAD
        && most.is_exceeded(failed, answers)
    {
        let rate = new.error_rate() * 100.0;
        return Some(format!("{rate:.1}% of {answers} requests failed (5xx), {most} may"));
    }
    let p95 = new.p95_about().filter(|_| answers >= LEAST_MEASURED);
    let (most, p95) = rules.p95.zip(p95).filter(|(most, p95)| p95 > most)?;
    let (most, p95) = (nd_types::format_duration(most), nd_types::format_duration(p95));
    Some(format!("the p95 of {answers} requests is about {p95}, above {most}"))
}

/// `312 requests, 0.0% failed, p95 below 5ms`.
fn figures(new: &ReleaseTraffic) -> String {
    let rate = new.error_rate() * 100.0;
    let p95 = new.p95().map(|p95| format!(", p95 below {}", nd_types::format_duration(p95)));
    format!("{} requests, {rate:.1}% failed{}", new.answers, p95.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(answers: u64, failed: u64, bucket: u64) -> ReleaseTraffic {
        ReleaseTraffic { answers, failed, latency_us: [(500_000, 0), (bucket, answers)].into() }
    }

    #[test]
    fn a_bound_of_the_users_is_broken_by_more_than_it_allows() {
        let rules = AbortRules { error_rate: "2%".parse().ok(), p95: Some(Duration::from_millis(800)) };
        assert_eq!(breaks(rules, &traffic(1000, 20, 5_000)), None);
        assert_eq!(breaks(rules, &traffic(10, 4, 5_000)), None, "a handful says nothing");
        let why = breaks(rules, &traffic(100, 5, 5_000));
        assert_eq!(why.as_deref(), Some("5.0% of 100 requests failed (5xx), 2% may"));
        let why = breaks(rules, &traffic(100, 0, 1_000_000));
        assert_eq!(why.as_deref(), Some("the p95 of 100 requests is about 975ms, above 800ms"));
        assert_eq!(breaks(rules, &traffic(19, 0, 1_000_000)), None);
        assert_eq!(breaks(AbortRules::default(), &traffic(100, 100, 1_000_000)), None);
    }
}
