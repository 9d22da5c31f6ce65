//! What became of requests: the receipt of a deployment, and the judgement over a release on probation.

use std::time::Duration;

use nd_supervise::Mono;

use super::action::{Action, ActionError};
use super::decide::Decision;
use super::watch::tick_after;
use super::{AppModel, Fact, Now};
use crate::events::{Event, StepEvent, StepState};
use crate::plan::{Plan, Step};
use crate::ports::{AppTraffic, ReleaseTraffic};
use crate::records::{BakeReference, DeploymentStatus, Receipt, Record};

/// How often a release on probation is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Fewer bad answers than these say nothing about a release.
const LEAST_BAD: u64 = 10;

/// How far the share of bad answers may lie above twice that of the release before.
const BAD_ABOVE: f64 = 0.05;

/// An answer that takes so many times the p95 of the release before …
const SLOWER: u32 = 3;

/// … and so much above it, is slow.
const SLOWER_BY: Duration = Duration::from_millis(250);

/// Where the reading of an app's traffic stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge {
    asking: bool,
    next: Option<Mono>,
    /// Whether the counters could not be read before the first table changed: then there is no receipt.
    unread: bool,
    /// The last reading of a deployment that is about to end.
    last: Closing,
    /// When the receipt was begun, if that was in the life of this daemon.
    since: Option<Mono>,
    /// The reading at the end of a trial's step was in vain: the next one comes in due time.
    in_vain: bool,
}

#[derive(Clone, Debug, Default)]
enum Closing {
    #[default]
    Open,
    Wanted,
    Done(Option<Box<AppTraffic>>),
}

impl AppModel {
    /// A deployment begins: nothing is read yet.
    pub(super) fn open_receipt(&mut self) {
        self.gauge = Gauge { asking: self.gauge.asking, ..Gauge::default() };
    }

    /// Whether nothing more is to be read for the deployment that is about to end.
    pub(super) fn is_receipt_closed(&mut self) -> bool {
        let counts = self.record.rollout.as_ref().is_some_and(|rollout| rollout.before.is_some());
        match self.gauge.last {
            _ if !counts => true,
            Closing::Done(_) => true,
            Closing::Open | Closing::Wanted => {
                self.gauge.last = Closing::Wanted;
                false
            }
        }
    }

    /// Reads the counters where somebody wants to know them.
    pub(super) fn measure(&mut self, now: Now, plan: &Plan, decision: &mut Decision) {
        let closes = matches!(self.gauge.last, Closing::Wanted);
        let (judges, counts) = (self.is_judgement_due(now, decision), self.is_idleness_due(now, decision));
        let wanted = closes || self.wants_beginning(plan) || judges || counts;
        if wanted && !self.gauge.asking {
            self.gauge.asking = true;
            decision.actions.push(Action::Measure);
        }
    }

    /// Whether a deployment has begun whose receipt has no first line yet.
    fn wants_beginning(&self, plan: &Plan) -> bool {
        let Some(rollout) = &self.record.rollout else { return false };
        let replaces = self.release_before(&rollout.release).is_some() && !rollout.from_idle;
        let own = self.deployment.as_ref().is_some_and(|last| last.status == DeploymentStatus::Running);
        let prepares = plan.next_steps().iter().any(|step| matches!(step, Step::Prepare(_)));
        replaces && own && !prepares && rollout.before.is_none() && !self.gauge.unread && !plan.is_done()
    }

    fn is_judgement_due(&mut self, now: Now, decision: &mut Decision) -> bool {
        let on_probation = self.record.bake.as_ref().is_some_and(|bake| {
            bake.reference.is_some() && now.wall <= bake.until && self.record.rollout.is_none()
        });
        if !(on_probation || self.is_trial()) || !self.runs_active() || self.suspended {
            self.gauge.next = None;
            return false;
        }
        let next = *self.gauge.next.get_or_insert_with(|| tick_after(now.mono + EVERY));
        let step_is_over = self.is_step_over(now) && !self.gauge.in_vain;
        if next <= now.mono || step_is_over {
            return true;
        }
        decision.wake(self.step_to_end(now).map_or(next, |end| next.min(end)));
        false
    }

    /// Takes in a reading.
    pub(super) fn measured(&mut self, result: Result<AppTraffic, ActionError>, now: Now) {
        self.gauge.asking = false;
        self.gauge.next = self.gauge.next.filter(|at| *at > now.mono);
        self.count_requests(result.as_ref().ok(), now);
        let begins = self.record.rollout.as_ref().is_some_and(|rollout| rollout.before.is_none());
        let begun = begins && result.is_ok();
        match result {
            Ok(traffic) if begins => self.begin_receipt(traffic, now),
            Err(_) if begins => self.gauge.unread = true,
            result if matches!(self.gauge.last, Closing::Wanted) => {
                // Without it the deployment ends without figures.
                let traffic = result.ok();
                if let Some(traffic) = &traffic {
                    self.close_receipt(traffic, now);
                }
                self.gauge.last = Closing::Done(traffic.map(Box::new));
            }
            Ok(traffic) => {
                self.judge_trial(&traffic, now);
                self.judge_probation(&traffic, now);
            }
            // The next reading will do.
            Err(_) => {}
        }
        self.gauge.in_vain = !begun && self.is_step_over(now);
    }

    fn begin_receipt(&mut self, traffic: AppTraffic, now: Now) {
        let own = self.deployment.as_ref().is_some_and(|last| last.status == DeploymentStatus::Running);
        let Some(rollout) = self.record.rollout.as_mut().filter(|_| own) else { return };
        rollout.before = Some(Box::new(traffic));
        self.gauge.since = Some(now.mono);
        self.touch(now);
        self.write_receipt(|_| {});
    }

    fn close_receipt(&mut self, traffic: &AppTraffic, now: Now) {
        let Some(before) = self.record.rollout.as_ref().and_then(|rollout| rollout.before.clone()) else {
            return;
        };
        let (answers, failed) =
            (grown(before.answers, traffic.answers), grown(before.failed, traffic.failed));
        self.write_receipt(|receipt| {
            receipt.served = answers.saturating_sub(failed);
            receipt.held = grown(before.held, traffic.held);
            receipt.retried = grown(before.retried, traffic.retried);
            receipt.failed = failed;
        });
        let Some(last) = &self.deployment else { return };
        let (id, Some(receipt)) = (last.id.clone(), last.receipt) else { return };
        let whole = || Duration::try_from(now.wall.duration_since(last.created_at)).unwrap_or_default();
        let ms = self.gauge.since.map_or_else(whole, |since| now.mono.saturating_since(since)).as_millis();
        self.steps.finish(now, &mut self.facts, &id);
        let step = StepEvent {
            step: "receipt".to_owned(),
            state: StepState::Ok,
            message: receipt.to_string(),
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
        };
        self.facts.push(Fact { unit: None, deployment: Some(id), what: Event::DeployStep(step) });
    }

    /// Requests were cut at the end of their drain time.
    pub(super) fn count_cut(&mut self, cut: u64) {
        let counts = self.record.rollout.as_ref().is_some_and(|rollout| rollout.before.is_some());
        if counts && cut > 0 {
            self.write_receipt(|receipt| receipt.cut += cut);
        }
    }

    fn write_receipt(&mut self, write: impl FnOnce(&mut Receipt)) {
        let Some(deployment) = &mut self.deployment else { return };
        write(deployment.receipt.get_or_insert_default());
        self.dirty.push(Record::Deployment(Box::new(deployment.clone())));
    }

    /// What a release that has just taken over is compared with.
    pub(super) fn bake_reference(&mut self) -> Option<BakeReference> {
        let rollout = self.record.rollout.as_ref()?;
        let previous = self.release_before(&rollout.release)?;
        let Closing::Done(Some(last)) = &self.gauge.last else { return None };
        let began_at = rollout.before.as_ref()?.of(&rollout.release);
        Some(BakeReference { previous: last.of(&previous), began_at })
    }

    fn judge_probation(&mut self, traffic: &AppTraffic, now: Now) {
        let Some(active) = self.record.active.clone().filter(|_| self.record.rollout.is_none()) else {
            return;
        };
        let Some(reference) = self.record.bake.as_ref().and_then(|bake| bake.reference.as_ref()) else {
            return;
        };
        let new = traffic.of(&active).since(&reference.began_at);
        if let Some(why) = is_worse(&reference.previous, &new, Compared::After) {
            self.end_probation(&active, &why, now);
        }
    }
}

/// When the release before answered what another one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Before the new one took over.
    After,
    /// In the same time.
    Beside,
}

impl Compared {
    /// What is said about the new release, and about the one before.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::After => (" since it took over", "before"),
            Self::Beside => ("", "beside it"),
        }
    }
}

/// Why a release does so much worse than the one before that it must go.
pub(super) fn is_worse(old: &ReleaseTraffic, new: &ReleaseTraffic, compared: Compared) -> Option<String> {
    let (since, then) = compared.words();
    let (before, after) = (old.error_rate() * 100.0, new.error_rate() * 100.0);
    if is_much_more((old.failed, old.answers), (new.failed, new.answers)) {
        let answers = new.answers;
        return Some(format!("{after:.1}% of {answers} requests failed (5xx){since}, {before:.1}% {then}"));
    }
    let usual = old.p95()?;
    let slow = usual.saturating_mul(SLOWER).max(usual.saturating_add(SLOWER_BY));
    let (many, before) = (new.slower_than(slow), old.slower_than(slow));
    is_much_more((before, old.answers), (many, new.answers)).then(|| {
        let (answers, slow) = (new.answers, nd_types::format_duration(slow));
        let all = old.answers;
        format!("{many} of {answers} requests took about {slow} or longer{since}, {before} of {all} {then}")
    })
}

/// Whether the bad ones of all are enough to say something, and far more than they were.
fn is_much_more(before: (u64, u64), now: (u64, u64)) -> bool {
    let share = |(bad, all): (u64, u64)| if all == 0 { 0.0 } else { bad as f64 / all as f64 };
    now.0 >= LEAST_BAD && share(now) > 2.0 * share(before) + BAD_ABOVE
}

/// How much a counter has grown; one that has shrunk began anew.
fn grown(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(answers: u64, failed: u64, bucket: u64) -> ReleaseTraffic {
        ReleaseTraffic { answers, failed, latency_us: [(bucket, answers)].into() }
    }

    fn worse(old: &ReleaseTraffic, new: &ReleaseTraffic) -> Option<String> {
        is_worse(old, new, Compared::After)
    }

    #[test]
    fn a_release_is_worse_when_many_more_of_its_answers_fail() {
        let old = traffic(1000, 10, 5_000);
        assert_eq!(worse(&old, &traffic(100, 6, 5_000)), None);
        let why = worse(&old, &traffic(100, 20, 5_000));
        assert_eq!(
            why.as_deref(),
            Some("20.0% of 100 requests failed (5xx) since it took over, 1.0% before")
        );
        assert_eq!(
            worse(&traffic(100, 50, 5_000), &traffic(100, 60, 5_000)),
            None,
            "it was no better before"
        );
    }

    #[test]
    fn a_handful_of_failures_says_nothing() {
        assert_eq!(worse(&traffic(1000, 0, 5_000), &traffic(9, 9, 5_000)), None);
    }

    #[test]
    fn a_release_is_worse_when_many_more_of_its_answers_are_slow() {
        let old = traffic(1000, 0, 100_000);
        assert_eq!(worse(&old, &traffic(100, 0, 250_000)), None);
        let why = worse(&old, &traffic(100, 0, 500_000));
        let expected = "100 of 100 requests took about 350ms or longer since it took over, 0 of 1000 before";
        assert_eq!(why.as_deref(), Some(expected));
        assert_eq!(worse(&old, &traffic(9, 0, 500_000)), None, "too few to say");
    }

    #[test]
    fn long_downloads_among_quick_answers_are_no_sign_of_slowness() {
        let mixed = |quick, long| ReleaseTraffic {
            answers: quick + long,
            failed: 0,
            latency_us: [(5_000, quick), (2_500_000, long)].into(),
        };
        assert_eq!(worse(&mixed(1000, 40), &mixed(180, 20)), None);
        assert_eq!(worse(&mixed(1000, 100), &mixed(160, 40)), None);
    }
}
