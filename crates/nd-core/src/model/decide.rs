//! What to start now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{ExitStatus, ReleaseId, StrategyName, UnitId};

use super::action::{Action, UnitAction};
use super::crash::Verdict;
use super::unit::{Unit, UnitState};
use super::{AppModel, Fact, Now};
use crate::events::RestartReason;
use crate::plan::{Plan, Step};
use crate::ports::DeployStrategy;
use crate::records::{Record, RolloutStage, RunIntent};

/// How soon an app that waits for another one looks at it again.
const LOOK_AT_OTHERS: Duration = Duration::from_millis(200);

/// The strategies by name.
pub type Strategies = BTreeMap<StrategyName, Arc<dyn DeployStrategy>>;

/// What one activation decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What to start.
    pub actions: Vec<Action>,
    /// What to store. Everything in here would be decided again from what is observed, so a daemon that dies before it
    /// is stored loses nothing.
    pub records: Vec<Record>,
    /// What to publish, after the records are stored.
    pub facts: Vec<Fact>,
    /// When to decide again, if nothing else happens.
    pub wake_at: Option<Mono>,
}

impl Decision {
    pub(super) fn wake(&mut self, at: Mono) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// Why a unit exists, and so what is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It should run and serve.
    Wanted,
    /// The deployment under way decides.
    Planned,
    /// It should exist, stopped.
    Kept,
    /// It should not exist.
    Unwanted,
}

impl AppModel {
    /// Decides what to start now. Deciding twice in a row starts nothing twice.
    pub fn decide(&mut self, now: Now, strategies: &Strategies) -> Decision {
        let mut decision = Decision::default();
        if self.look && !self.observing {
            self.look = false;
            self.observing = true;
            decision.actions.push(Action::Observe { epoch: self.epoch });
        }
        if self.run() != RunIntent::Running {
            self.came_up = false;
        }
        if self.observed {
            self.keep_schedule(now, &mut decision);
            let plan = match self.suspended {
                true => Plan::default(),
                false => self.advance_rollout(now, strategies, &mut decision),
            };
            // After the plan: a deployment that has just ended may leave units that are to be started anew.
            self.decide_stand_in();
            self.decide_failover(&plan, now);
            let wishes = self.wishes(now, &plan, &mut decision);
            self.start_wishes(now, wishes, &mut decision);
            // After the wishes: a unit that has just begun to leave gets no more requests.
            self.route(now, &plan, &mut decision);
            self.prepare(now, &plan, &mut decision);
            self.watch(now, &mut decision);
            self.measure(now, &plan, &mut decision);
            self.forget_releases();
        }
        let (facts, records) = self.take_output();
        decision.facts = facts;
        decision.records = records;
        decision
    }

    /// What every unit needs next: first the deployment's own steps, then what keeps the app as it should be.
    fn wishes(&mut self, now: Now, plan: &Plan, decision: &mut Decision) -> BTreeMap<UnitId, UnitAction> {
        let mut wishes = self.planned_wishes(now, plan, decision);
        if let Some(active) = self.record.active.clone().filter(|_| self.runs_active()) {
            for slot in 1..=self.kept_slots() {
                let id = UnitId::new(self.app(), &active, slot);
                self.unit_mut(&id, now);
            }
        }
        let named = plan.units();
        let ids: Vec<UnitId> = self.units.keys().cloned().collect();
        for id in ids {
            if wishes.contains_key(&id) {
                continue;
            }
            let wish = match self.role(&id, plan) {
                // A later stage of the plan will want it as it is.
                Role::Kept | Role::Unwanted if named.contains(&id) => None,
                Role::Planned => None,
                Role::Wanted => self.keep_up(&id, now, decision),
                Role::Kept => self.bring_down(&id),
                Role::Unwanted => self.bring_down(&id).or_else(|| self.clear_away(&id)),
            };
            if let Some(wish) = wish {
                wishes.insert(id, wish);
            }
        }
        wishes
    }

    fn planned_wishes(
        &mut self,
        now: Now,
        plan: &Plan,
        decision: &mut Decision,
    ) -> BTreeMap<UnitId, UnitAction> {
        let mut wishes = BTreeMap::new();
        for step in plan.next_steps() {
            let action = match step {
                Step::Create(unit) if self.is_prepared(unit.release()) => UnitAction::Create,
                Step::Start(unit) => match self.start_again(unit, now, decision) {
                    Some(start) => start,
                    None => continue,
                },
                Step::WaitReady(unit) => UnitAction::WaitReady { within: self.time_to_ready(unit.release()) },
                Step::Drain(_) => UnitAction::Drain,
                Step::Stop(_) => UnitAction::Stop,
                Step::Remove(_) => UnitAction::Remove,
                Step::Create(_) | Step::Prepare(_) | Step::Apply(_) | Step::Mix(_) | Step::Watch { .. } => {
                    continue;
                }
            };
            let ends = matches!(action, UnitAction::Drain | UnitAction::Stop | UnitAction::Remove);
            if let Some(unit) = step.unit().filter(|unit| !ends || !self.may_be_routed(unit)) {
                self.unit_mut(unit, now);
                wishes.insert(unit.clone(), action);
            }
        }
        wishes
    }

    fn role(&self, id: &UnitId, plan: &Plan) -> Role {
        let release = id.release();
        let active = self.record.active.as_ref() == Some(release);
        if self.record.run == RunIntent::Removed {
            return Role::Unwanted;
        }
        if self.suspended {
            return Role::Kept;
        }
        if let Some(rollout) = &self.record.rollout {
            let new = rollout.release == *release;
            let old_is_owned = plan.owned.contains(id) && active && !new && !self.leaves_stopped(rollout);
            if old_is_owned
                || (new && !active && (rollout.stage == RolloutStage::Advancing || !plan.is_done()))
            {
                return Role::Planned;
            }
        }
        if active {
            return match (self.runs_active(), id.slot() <= self.kept_slots()) {
                (true, true) => Role::Wanted,
                (false, true) => Role::Kept,
                (_, false) => Role::Unwanted,
            };
        }
        if self.record.kept.contains(release) { Role::Kept } else { Role::Unwanted }
    }

    /// What a unit that should serve needs next.
    fn keep_up(&mut self, id: &UnitId, now: Now, decision: &mut Decision) -> Option<UnitAction> {
        if self.must_restart(id) {
            return self.bring_down(id);
        }
        match self.units.get(id)?.state {
            UnitState::Absent if self.has_ended(id) => None,
            UnitState::Absent => Some(UnitAction::Create).filter(|_| self.is_prepared(id.release())),
            UnitState::Warming => Some(UnitAction::WaitReady { within: self.time_to_ready(id.release()) }),
            UnitState::Ready => None,
            UnitState::Created | UnitState::Stopped | UnitState::Crashed(_) => match self.cools_down(id, now)
            {
                Some(until) => {
                    decision.wake(until);
                    None
                }
                None => self.start_again(id, now, decision),
            },
        }
    }

    /// Whether the policy has said that the unit is not to run again.
    fn has_ended(&self, id: &UnitId) -> bool {
        self.units.get(id).is_some_and(|unit| unit.crashes.verdict() == Verdict::Final)
    }

    /// The start of a unit that exists and does not run, as soon as the policy grants it.
    fn start_again(&self, id: &UnitId, now: Now, decision: &mut Decision) -> Option<UnitAction> {
        let unit = self.units.get(id)?;
        let reason = match unit.state {
            UnitState::Crashed(ExitStatus::OutOfMemory) => RestartReason::OutOfMemory,
            UnitState::Crashed(_) => RestartReason::Exited,
            UnitState::Stopped => unit.ended_for.unwrap_or_else(|| restart_reason(unit)),
            _ => return Some(UnitAction::Start(None)),
        };
        match unit.crashes.verdict() {
            Verdict::Free if unit.ended_for.is_some() => Some(UnitAction::Start(Some(reason))),
            Verdict::Free => Some(UnitAction::Start(Some(restart_reason(unit)))),
            Verdict::Final => None,
            Verdict::At(at) | Verdict::Loop { retry: at, .. } if at > now.mono => {
                decision.wake(at);
                None
            }
            Verdict::At(_) | Verdict::Loop { .. } => Some(UnitAction::Start(Some(reason))),
        }
    }

    /// What a unit that should not run needs next: it stops only when the ingress has acknowledged a table without it
    /// and nothing is in flight on it.
    fn bring_down(&self, id: &UnitId) -> Option<UnitAction> {
        let unit = self.units.get(id)?;
        if !unit.may_run() || self.may_be_routed(id) {
            return None;
        }
        Some(if unit.drained { UnitAction::Stop } else { UnitAction::Drain })
    }

    fn clear_away(&self, id: &UnitId) -> Option<UnitAction> {
        let unit = self.units.get(id)?;
        let gone = unit.state == UnitState::Absent || unit.may_run();
        (!gone && !self.may_be_routed(id)).then_some(UnitAction::Remove)
    }

    /// Whether units of another release may run while those of this one must be alone.
    fn must_wait_for_others(&self, release: &ReleaseId) -> bool {
        let alone = self.deployment.as_ref().is_some_and(|last| last.strategy == StrategyName::Recreate);
        alone && self.units.iter().any(|(id, unit)| id.release() != release && unit.may_run())
    }

    fn start_wishes(&mut self, now: Now, wishes: BTreeMap<UnitId, UnitAction>, decision: &mut Decision) {
        for (id, action) in wishes {
            if matches!(action, UnitAction::Start(_)) && self.must_wait_for_others(id.release()) {
                continue;
            }
            if matches!(action, UnitAction::Start(_)) && self.awaits_app.is_some() {
                decision.wake(now.mono + LOOK_AT_OTHERS);
                continue;
            }
            let drained = !self.may_be_routed(&id);
            let Some(unit) = self.units.get_mut(&id) else { continue };
            if !unit.is_idle() {
                continue;
            }
            if let Some(at) = unit.not_before.filter(|at| *at > now.mono) {
                decision.wake(at);
                continue;
            }
            if matches!(action, UnitAction::Start(_)) {
                // Requests reach it from its first moment on, where a table still names it; or did so already, where an
                // earlier start was not heard of.
                unit.drained = drained && (unit.drained || !unit.in_doubt);
                unit.started_for = self.record.restart_before;
            }
            unit.not_before = None;
            unit.in_flight = Some(action);
            decision.actions.push(Action::Unit(id, action));
        }
    }

    /// Prepares what the plan wants prepared, or an active release whose units have to be created again.
    fn prepare(&mut self, now: Now, plan: &Plan, decision: &mut Decision) {
        let planned = plan.next_steps().iter().find_map(|step| match step {
            Step::Prepare(release) => Some(release.clone()),
            Step::Create(unit) if !self.is_prepared(unit.release()) => Some(unit.release().clone()),
            _ => None,
        });
        let Some(release) = planned.or_else(|| self.unprepared_active()) else { return };
        if self.preparing.is_some() {
            return;
        }
        if let Some(at) = self.prepare_not_before.filter(|at| *at > now.mono) {
            return decision.wake(at);
        }
        self.preparing = Some(release.clone());
        decision.actions.push(Action::Prepare(release));
    }

    fn unprepared_active(&self) -> Option<ReleaseId> {
        let active = self.record.active.as_ref().filter(|_| self.runs_active())?;
        let absent = self.units.iter().any(|(id, unit)| {
            id.release() == active && unit.state == UnitState::Absent && !self.has_ended(id)
        });
        (absent && !self.is_prepared(active)).then(|| active.clone())
    }

    pub(super) fn is_prepared(&self, release: &ReleaseId) -> bool {
        self.releases.get(release).is_some_and(|release| release.prepared.is_some())
    }

    fn time_to_ready(&self, release: &ReleaseId) -> std::time::Duration {
        let readiness = self.spec_of(release).map(|spec| spec.readiness.clone()).unwrap_or_default();
        readiness.start_period + readiness.deadline
    }

    /// Drops releases that nothing refers to any more, once their units are gone.
    fn forget_releases(&mut self) {
        let record = &self.record;
        let before = record.rollout.as_ref().and_then(|rollout| self.release_before(&rollout.release));
        let referred = |id: &ReleaseId| {
            record.run != RunIntent::Removed
                && (record.active.as_ref() == Some(id)
                    || record.kept.contains(id)
                    || record
                        .rollout
                        .as_ref()
                        .is_some_and(|rollout| rollout.release == *id || before.as_ref() == Some(id)))
        };
        self.units
            .retain(|id, unit| unit.state != UnitState::Absent || !unit.is_idle() || referred(id.release()));
        let units = &self.units;
        let gone: Vec<ReleaseId> = self
            .releases
            .keys()
            .filter(|id| !referred(id) && !units.keys().any(|unit| unit.release() == *id))
            .cloned()
            .collect();
        for id in gone {
            self.releases.remove(&id);
            self.dirty.push(Record::ReleaseGone(id));
        }
    }
}

fn restart_reason(unit: &Unit) -> RestartReason {
    if unit.started.is_some() { RestartReason::Manual } else { RestartReason::FoundStopped }
}
