//! A deployment under way: forward while the new release does well, back when it does not.

use std::time::Duration;

use nd_types::{ReleaseId, StrategyName, UnitId};

use super::decide::{Decision, Strategies};
use super::unit::UnitState;
use super::{AppModel, Now};
use crate::diagnosis::Diagnosis;
use crate::events::Event;
use crate::plan::Plan;
use crate::ports::{PlanInput, UnitInput, UnitReadiness};
use crate::records::{
    BakeRecord, CanaryRecord, DeploymentStatus, Record, RolloutRecord, RolloutStage, RunIntent, UNDO_LIMIT,
};

impl AppModel {
    /// The deployment's plan as of now; ends the deployment when nothing is left to do.
    pub(super) fn advance_rollout(
        &mut self,
        now: Now,
        strategies: &Strategies,
        decision: &mut Decision,
    ) -> Plan {
        self.watch_deadline(now, decision);
        self.mind_the_clock(now);
        let Some(rollout) = self.record.rollout.clone() else { return Plan::default() };
        let plan = self.plan_of(&rollout, strategies);
        self.steps.follow(&plan, &rollout.stage, now, &mut self.facts, &rollout.deployment);
        if !plan.is_done() || self.applying || !self.is_receipt_closed() {
            return plan;
        }
        match rollout.stage {
            RolloutStage::Advancing => self.finish_rollout(&rollout, now),
            RolloutStage::Undoing(ref diagnosis) => {
                self.fail_rollout(&rollout, diagnosis.clone(), DeploymentStatus::Failed, now);
            }
        }
        Plan::default()
    }

    /// The plan of a deployment, from what is known now.
    #[must_use]
    pub fn plan_of(&self, rollout: &RolloutRecord, strategies: &Strategies) -> Plan {
        let Some(strategy) = strategies.get(&rollout.strategy) else { return Plan::default() };
        // What the user had stopped is no side of this deployment.
        let old = self.release_before(&rollout.release).filter(|_| !rollout.from_stopped);
        let input = PlanInput {
            new: &rollout.release,
            old: old.as_ref(),
            switched: self.record.active.as_ref() == Some(&rollout.release),
            mixed: rollout.mixed,
            canary: self
                .spec_of(&rollout.release)
                .map(|spec| &spec.rollout.canary)
                .filter(|_| !rollout.from_idle),
            watched: rollout.canary.watched,
            promoted: rollout.canary.promoted,
            prepared: self.is_prepared(&rollout.release),
            replicas: rollout.replicas,
            old_replicas: rollout.old_replicas,
            units: self.plan_units(rollout, old.as_ref()),
        };
        match rollout.stage {
            RolloutStage::Advancing => strategy.plan(&input),
            RolloutStage::Undoing(_) => strategy.undo(&input),
        }
    }

    /// Whether the release before is to stay as the user left it: stopped.
    pub(super) fn leaves_stopped(&self, rollout: &RolloutRecord) -> bool {
        rollout.from_stopped && self.record.active.as_ref() != Some(&rollout.release)
    }

    /// The release that served when the deployment began.
    pub(super) fn release_before(&self, new: &ReleaseId) -> Option<ReleaseId> {
        let before = self.deployment.as_ref().and_then(|deployment| deployment.previous.clone());
        before
            .or_else(|| self.record.active.clone())
            .filter(|old| old != new && self.releases.contains_key(old))
    }

    fn plan_units(&self, rollout: &RolloutRecord, old: Option<&ReleaseId>) -> Vec<UnitInput> {
        let expected = |release: &ReleaseId, replicas: u16| {
            (1..=replicas).map(|slot| UnitId::new(self.app(), release, slot)).collect::<Vec<_>>()
        };
        let mut ids = expected(&rollout.release, rollout.replicas);
        ids.extend(old.into_iter().flat_map(|old| expected(old, rollout.old_replicas)));
        let known =
            self.units.keys().filter(|id| *id.release() == rollout.release || Some(id.release()) == old);
        ids.extend(known.cloned());
        ids.sort();
        ids.dedup();
        ids.into_iter().map(|id| self.unit_input(id)).collect()
    }

    fn unit_input(&self, id: UnitId) -> UnitInput {
        let unit = self.units.get(&id);
        let readiness = match unit {
            Some(unit) if unit.state == UnitState::Ready && !unit.is_leaving() => UnitReadiness::Ready,
            Some(unit) if unit.state.is_running() => UnitReadiness::Running,
            Some(unit) if unit.may_run() => UnitReadiness::Starting,
            Some(unit) if unit.state != UnitState::Absent => UnitReadiness::Stopped,
            Some(_) | None => UnitReadiness::Absent,
        };
        let routed = self.is_routed(&id);
        UnitInput { routed, drained: unit.is_none_or(|unit| unit.drained), readiness, id }
    }

    /// The new release failed: from now on the way leads back.
    pub(super) fn undo_rollout(&mut self, diagnosis: Diagnosis, now: Now) {
        let Some(rollout) = &mut self.record.rollout else { return };
        if rollout.stage != RolloutStage::Advancing {
            return;
        }
        let id = rollout.deployment.clone();
        self.steps.fail(&diagnosis.what, now, &mut self.facts, &id);
        rollout.turn_back(diagnosis, now.wall);
        self.touch(now);
    }

    /// Whether `release` is what the deployment under way wants to serve, and it still advances.
    pub(super) fn is_advancing(&self, release: &ReleaseId) -> bool {
        self.record
            .rollout
            .as_ref()
            .is_some_and(|rollout| rollout.release == *release && rollout.stage == RolloutStage::Advancing)
    }

    /// Whether `release` is on its way to serve, and does not serve alone yet.
    pub(super) fn is_taking_over(&self, release: &ReleaseId) -> bool {
        self.is_advancing(release) && self.record.active.as_ref() != Some(release)
    }

    fn watch_deadline(&mut self, now: Now, decision: &mut Decision) {
        let Some(rollout) = self.record.rollout.clone() else { return };
        let serves = self.record.active.as_ref() == Some(&rollout.release);
        if serves && rollout.stage == RolloutStage::Advancing {
            // Once the new release serves, what is left is cleaning up, and that has deadlines of its own.
            return;
        }
        let left = Duration::try_from(rollout.deadline.duration_since(now.wall)).unwrap_or_default();
        if !left.is_zero() {
            return decision.wake(now.mono + left);
        }
        match rollout.stage.clone() {
            RolloutStage::Advancing => {
                let waiting_for = self.hindrance().unwrap_or_else(|| self.steps.waiting_for());
                self.undo_rollout(Diagnosis::new(format!("gave up at the deadline: {waiting_for}")), now);
                decision.wake(now.mono + UNDO_LIMIT);
            }
            RolloutStage::Undoing(diagnosis) => {
                self.fail_rollout(&rollout, diagnosis, DeploymentStatus::RollbackFailed, now);
            }
        }
    }

    /// The ingress serves the new release: it is the active one from now on.
    pub(super) fn switch_to(&mut self, release: &ReleaseId, now: Now) {
        let Some(rollout) = self.record.rollout.clone() else { return };
        let old = self.record.active.replace(release.clone());
        self.record.kept.retain(|kept| kept != release);
        if rollout.release == *release {
            self.record.replicas = rollout.replicas;
            self.record.kept.splice(0..0, old.filter(|old| old != release));
            let keep =
                self.spec_of(release).map_or(crate::spec::AppSpec::KEEP_RELEASES, |spec| spec.keep_releases);
            self.record.kept.truncate(usize::from(keep));
        } else {
            self.record.replicas = rollout.old_replicas;
        }
        for unit in self.units.values_mut() {
            self.look |= std::mem::take(&mut unit.overlooked);
        }
        self.touch(now);
    }

    fn finish_rollout(&mut self, rollout: &RolloutRecord, now: Now) {
        self.steps.finish(now, &mut self.facts, &rollout.deployment);
        let previous = self.release_before(&rollout.release);
        let rolled_back = self.settle_deployment(DeploymentStatus::Succeeded, None, now);
        let took_ms = self.deployment_age_ms(now);
        let bake = self.spec_of(&rollout.release).map_or(Duration::ZERO, |spec| spec.rollout.bake);
        let reference = self.bake_reference();
        self.record.bake = match previous {
            // What was stopped before is not brought back.
            Some(previous) if !rolled_back && !rollout.from_stopped && !bake.is_zero() => {
                let until = now.wall.saturating_add(bake).unwrap_or(now.wall);
                Some(BakeRecord { deployment: rollout.deployment.clone(), previous, until, reference })
            }
            _ => None,
        };
        self.fact(None, Event::DeploySucceeded { release: rollout.release.clone(), took_ms });
        self.record.rollout = None;
        self.touch(now);
    }

    fn fail_rollout(
        &mut self,
        rollout: &RolloutRecord,
        diagnosis: Diagnosis,
        status: DeploymentStatus,
        now: Now,
    ) {
        self.steps.finish(now, &mut self.facts, &rollout.deployment);
        let old_serves = self.served.as_ref().is_some_and(|served| !served.units.is_empty());
        self.settle_deployment(status, Some(diagnosis.clone()), now);
        self.fact(
            None,
            Event::DeployFailed { diagnosis, old_serves, lost: !old_serves && !rollout.from_idle },
        );
        if rollout.from_stopped {
            self.record.run = RunIntent::Stopped;
        }
        self.record.rollout = None;
        self.record.bake = None;
        self.touch(now);
    }

    /// Writes down how the deployment ended. Answers whether it had already ended as rolled back.
    fn settle_deployment(&mut self, status: DeploymentStatus, error: Option<Diagnosis>, now: Now) -> bool {
        let Some(deployment) = &mut self.deployment else { return false };
        let rolled_back = deployment.status == DeploymentStatus::RolledBack;
        let cancelled = deployment.status == DeploymentStatus::Cancelled;
        if !rolled_back && !cancelled {
            deployment.status = status;
            deployment.error = error;
        }
        deployment.finished_at = Some(now.wall);
        self.dirty.push(Record::Deployment(Box::new(deployment.clone())));
        rolled_back
    }

    fn deployment_age_ms(&self, now: Now) -> u64 {
        let began = self.deployment.as_ref().map_or(now.wall, |deployment| deployment.created_at);
        u64::try_from(now.wall.duration_since(began).as_millis()).unwrap_or(0)
    }

    /// A release on probation crashes again and again: bring back the one before.
    pub(super) fn end_probation(&mut self, release: &ReleaseId, reason: &str, now: Now) {
        if self.is_advancing(release) {
            return self.undo_rollout(Diagnosis::new(reason), now);
        }
        let Some(bake) = self.record.bake.take() else { return };
        self.touch(now);
        let known = self.record.kept.contains(&bake.previous) && self.releases.contains_key(&bake.previous);
        if now.wall > bake.until
            || self.record.rollout.is_some()
            || !known
            || self.record.active.as_ref() != Some(release)
        {
            return;
        }
        let Some(deployment) = self.deployment.as_mut().filter(|deployment| deployment.id == bake.deployment)
        else {
            return;
        };
        deployment.status = DeploymentStatus::RolledBack;
        deployment.error = Some(Diagnosis::new(reason));
        // What has served before need not be tried.
        let strategy = match deployment.strategy {
            StrategyName::Canary => StrategyName::BlueGreen,
            strategy => strategy,
        };
        deployment.previous = Some(release.clone());
        self.dirty.push(Record::Deployment(Box::new(deployment.clone())));
        self.fact(None, Event::DeployRolledBack { to: bake.previous.clone(), reason: reason.to_owned() });
        self.record.rollout = Some(RolloutRecord {
            deployment: bake.deployment,
            release: bake.previous,
            strategy,
            replicas: self.record.replicas,
            old_replicas: self.record.replicas,
            from_stopped: false,
            from_idle: false,
            deadline: now.wall.saturating_add(UNDO_LIMIT).unwrap_or(now.wall),
            mixed: 0,
            canary: CanaryRecord::default(),
            before: None,
            stage: RolloutStage::Advancing,
        });
        self.touch(now);
    }
}
