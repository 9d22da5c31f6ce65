//! The steps of a deployment as the user follows them, derived from the plan as it shrinks.

use nd_supervise::Mono;
use nd_types::DeploymentId;

use super::{Fact, Now};
use crate::events::{Event, StepEvent, StepState};
use crate::plan::{Plan, Step};
use crate::ports::DrainReport;
use crate::records::{RolloutRecord, RolloutStage};

/// Which step the user is being shown.
#[derive(Clone, Debug, Default)]
pub(super) struct StepTracker {
    current: Option<(&'static str, Mono)>,
    detail: String,
    /// What became of requests on all units that were drained in this step.
    drained: Option<DrainReport>,
}

impl StepTracker {
    /// Ends the step that the plan has left behind and begins the one it is at.
    pub(super) fn follow(
        &mut self,
        plan: &Plan,
        stage: &RolloutStage,
        now: Now,
        facts: &mut Vec<Fact>,
        id: &DeploymentId,
    ) {
        let next = match (plan.next_steps().first(), stage) {
            (None, _) => return,
            (Some(_), RolloutStage::Undoing(_)) => "undo",
            (Some(step), RolloutStage::Advancing) => name_of(step),
        };
        if self.current.is_some_and(|(name, _)| name == next) {
            return;
        }
        self.finish(now, facts, id);
        self.current = Some((next, now.mono));
        let message = plan.next_steps().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        facts.push(self.fact(next, StepState::Start, message, now, id));
    }

    /// Adds a detail to the current step's end.
    pub(super) fn say(&mut self, detail: &str) {
        if !self.detail.is_empty() {
            self.detail.push_str("; ");
        }
        self.detail.push_str(detail);
    }

    /// Adds what became of the requests on one unit.
    pub(super) fn drained(&mut self, report: DrainReport) {
        let sum = self.drained.get_or_insert_default();
        sum.finished += report.finished;
        sum.cut += report.cut;
        sum.websockets_closed += report.websockets_closed;
        sum.websockets_cut += report.websockets_cut;
    }

    /// Says that the current step goes on, and what it waits for.
    pub(super) fn progress(
        &mut self,
        message: &str,
        now: Now,
        facts: &mut Vec<Fact>,
        rollout: Option<&RolloutRecord>,
    ) {
        if let (Some((name, _)), Some(rollout)) = (self.current, rollout) {
            facts.push(self.fact(name, StepState::Progress, message.to_owned(), now, &rollout.deployment));
        }
    }

    /// Ends the current step well.
    pub(super) fn finish(&mut self, now: Now, facts: &mut Vec<Fact>, id: &DeploymentId) {
        if let Some(sum) = self.drained.take() {
            let (finished, closed) = (sum.finished, sum.websockets_closed);
            let cut = sum.cut + sum.websockets_cut;
            self.say(&format!("{finished} requests finished, {closed} websockets closed, {cut} cut"));
        }
        let detail = std::mem::take(&mut self.detail);
        if let Some((name, _)) = self.current {
            facts.push(self.fact(name, StepState::Ok, detail, now, id));
        }
        self.current = None;
    }

    /// Ends the current step badly.
    pub(super) fn fail(&mut self, why: &str, now: Now, facts: &mut Vec<Fact>, id: &DeploymentId) {
        if let Some((name, _)) = self.current {
            facts.push(self.fact(name, StepState::Fail, why.to_owned(), now, id));
        }
        self.current = None;
        self.drained = None;
        self.detail.clear();
    }

    /// What the deployment waits for, in words.
    pub(super) fn waiting_for(&self) -> String {
        self.current
            .map_or_else(|| "nothing had begun".to_owned(), |(name, _)| format!("still in step `{name}`"))
    }

    fn fact(&self, step: &str, state: StepState, message: String, now: Now, id: &DeploymentId) -> Fact {
        let since = self.current.map_or(now.mono, |(_, since)| since);
        let ms = u64::try_from(now.mono.saturating_since(since).as_millis()).unwrap_or(u64::MAX);
        let event = StepEvent { step: step.to_owned(), state, message, ms };
        Fact { unit: None, deployment: Some(id.clone()), what: Event::DeployStep(event) }
    }
}

fn name_of(step: &Step) -> &'static str {
    match step {
        Step::Prepare(_) => "prepare",
        Step::Create(_) => "create",
        Step::Start(_) => "start",
        Step::WaitReady(_) => "health",
        Step::Apply(units) if units.is_empty() => "hold",
        Step::Apply(_) | Step::Mix(_) => "swap",
        Step::Watch { .. } => "canary",
        Step::Drain(_) => "drain",
        Step::Stop(_) => "stop",
        Step::Remove(_) => "remove",
    }
}
