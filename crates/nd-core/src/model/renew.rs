//! Starting units anew that run: when the user, a schedule or a limit asks for it; one at a time, and where that is
//! possible without a gap.

use nd_types::{StrategyName, UnitId};

use super::decide::Decision;
use super::unit::{Unit, UnitState};
use super::{AppModel, Now};
use crate::events::{Event, RestartReason};

impl AppModel {
    /// How many units the pool of the active release has now: as many as wanted, and one more while it stands in for the only
    /// one, or while the mirror does for another one.
    #[must_use]
    pub fn slots(&self) -> u16 {
        self.record.replicas.saturating_add(u16::from(self.stand_in || self.fails_over))
    }

    /// Whether this unit runs, is to be started anew, and it is its turn: one at a time, so that the others serve, and
    /// not while a deployment is under way.
    pub(super) fn must_restart(&self, id: &UnitId) -> bool {
        let Some(unit) = self.units.get(id).filter(|unit| self.is_due(unit)) else { return false };
        if unit.due == Some(RestartReason::Health) {
            return true;
        }
        if self.record.rollout.is_some() || self.is_needed_mirror(id) {
            return false;
        }
        if self.is_due_gently(unit) && self.awaits_mirror(id) {
            return false;
        }
        if self.stand_in {
            let stand_in = UnitId::new(self.app(), id.release(), self.slots());
            // It goes soon: were it started anew as well, nobody would serve.
            return *id != stand_in && self.is_routed(&stand_in) && self.can_serve(&stand_in);
        }
        let done = |unit: &Unit| {
            unit.is_idle() && !self.is_due(unit) && (unit.state == UnitState::Ready || unit.has_given_up())
        };
        let its_turn = |other: &UnitId| {
            let later = |unit: &Unit| self.is_due(unit) && other > id && !unit.is_leaving();
            other == id || self.units.get(other).is_some_and(|unit| done(unit) || later(unit))
        };
        let mut siblings = (1..=self.record.replicas).map(|slot| UnitId::new(self.app(), id.release(), slot));
        siblings.all(|other| its_turn(&other))
    }

    /// Whether it runs, and is to be started anew.
    fn is_due(&self, unit: &Unit) -> bool {
        unit.state.is_running() && (unit.due.is_some() || self.is_asked_for(unit))
    }

    /// Whether the user asked for a restart that this unit has not had yet.
    fn is_asked_for(&self, unit: &Unit) -> bool {
        self.record.restart_before.is_some_and(|asked| {
            unit.started.is_some_and(|started| started < asked) && unit.started_for != Some(asked)
        })
    }

    /// Whether it is to be started anew without anybody noticing.
    fn is_due_gently(&self, unit: &Unit) -> bool {
        let by_itself = matches!(unit.due, Some(RestartReason::MemoryLimit | RestartReason::Cron));
        self.is_due(unit) && (by_itself || (self.record.restart_gently && self.is_asked_for(unit)))
    }

    /// The only unit of an app that is asked over the network gets a second one beside it while it is started anew,
    /// unless two of them cannot run side by side. It stays for as long as it alone serves.
    pub(super) fn decide_stand_in(&mut self) {
        let Some(active) = self.record.active.clone().filter(|_| self.may_have_stand_in()) else {
            self.stand_in = false;
            return;
        };
        let only = UnitId::new(self.app(), &active, 1);
        let due = self.units.get(&only).is_some_and(|unit| self.is_due_gently(unit));
        let serves = self.can_serve(&only) && self.is_routed(&only);
        let hopeless = self.units.get(&UnitId::new(self.app(), &active, 2)).is_some_and(Unit::has_given_up);
        self.stand_in = due || (self.stand_in && !serves && !hopeless);
        if due && hopeless {
            self.give_up_renewal(&only);
        }
    }

    fn may_have_stand_in(&self) -> bool {
        let alone = self.deployment.as_ref().is_some_and(|last| last.strategy == StrategyName::Recreate);
        let portless =
            self.record.active.as_ref().and_then(|id| self.releases.get(id)).is_none_or(|r| r.portless);
        self.record.replicas == 1
            && self.record.rollout.is_none()
            && self.runs_active()
            && !self.suspended
            && !alone
            && !portless
            && self.mirror().is_none()
    }

    /// The one that should stand in does not even start: then the one that serves had better go on.
    fn give_up_renewal(&mut self, only: &UnitId) {
        self.stand_in = false;
        let asked = self.record.restart_before;
        if let Some(unit) = self.units.get_mut(only) {
            unit.due = None;
            unit.started_for = asked;
        }
        let message =
            "not started anew: a second instance, started to stand in for it, does not become ready";
        self.fact(Some(only), Event::Trouble { message: message.to_owned() });
    }

    /// Marks every unit that runs when the schedule says so. What was due while no daemon ran is not made up for.
    pub(super) fn keep_schedule(&mut self, now: Now, decision: &mut Decision) {
        let active = self.record.active.as_ref().filter(|_| self.runs_active() && !self.suspended);
        let schedule = active.and_then(|id| self.spec_of(id)).and_then(|spec| spec.restart.cron.clone());
        let Some(schedule) = schedule else {
            self.cron_next = None;
            return;
        };
        let next = match self.cron_next.take() {
            Some((of, at)) if of == schedule => Some(at),
            _ => schedule.next_after(now.wall),
        };
        let Some(mut next) = next else { return };
        if next <= now.wall {
            let active = self.record.active.clone();
            for (_, unit) in self.units.iter_mut().filter(|(id, _)| Some(id.release()) == active.as_ref()) {
                if unit.state.is_running() {
                    unit.due.get_or_insert(RestartReason::Cron);
                }
            }
            let Some(following) = schedule.next_after(now.wall) else { return };
            next = following;
        }
        let left = std::time::Duration::try_from(next.duration_since(now.wall)).unwrap_or_default();
        decision.wake(now.mono + left);
        self.cron_next = Some((schedule, next));
    }
}
