//! Which units the routes should lead to, and asking the ingress for it.

use std::collections::BTreeSet;

use nd_types::{Availability, ReleaseId, ServiceLimits, Split, UnitId};

use super::action::Action;
use super::decide::Decision;
use super::unit::{Unit, UnitState};
use super::{AppModel, Now};
use crate::plan::{Mix, Plan, Step};
use crate::records::RunIntent;
use crate::routes::AppRoutes;

impl AppModel {
    /// Whether the table that serves names the unit.
    pub(super) fn is_routed(&self, id: &UnitId) -> bool {
        self.served.as_ref().is_some_and(|served| served.names(id))
    }

    /// Whether a request may still reach the unit: the table that serves names it, or nobody knows which table does.
    pub(super) fn may_be_routed(&self, id: &UnitId) -> bool {
        self.applying || !self.table_known || self.is_routed(id)
    }

    /// Asks the ingress for the routes that should serve, when others do.
    pub(super) fn route(&mut self, now: Now, plan: &Plan, decision: &mut Decision) {
        if self.applying {
            return;
        }
        let goal = self.route_goal(plan);
        if goal == self.served && self.table_known {
            return;
        }
        if let Some(at) = self.routes_not_before.filter(|at| *at > now.mono) {
            return decision.wake(at);
        }
        self.applying = true;
        for id in goal.iter().flat_map(|goal| &goal.units) {
            // From now on requests may reach it.
            self.unit_mut(id, now).drained = false;
        }
        decision.actions.push(goal.map_or(Action::Withdraw, |goal| Action::Apply(Box::new(goal))));
    }

    /// The routes that should serve; `None` when nothing should lead to the app.
    pub(super) fn route_goal(&self, plan: &Plan) -> Option<AppRoutes> {
        if self.record.run == RunIntent::Removed {
            return None;
        }
        if let Some(mix) = self.next_mix(plan) {
            return self.mixed_routes(mix);
        }
        if let Some(units) = plan.next_steps().iter().find_map(applied_units) {
            let release = units.first().map(UnitId::release).or(self.record.active.as_ref())?;
            return self.routes_to(release, units.iter(), Availability::Serving);
        }
        let active = self.record.active.as_ref()?;
        if self.run() == RunIntent::Stopped {
            let availability = if self.sleeps() { Availability::Sleeping } else { Availability::Stopped };
            return self.routes_to(active, [].iter(), availability);
        }
        if !self.runs_active() {
            return self.routes_to(active, [].iter(), Availability::Serving);
        }
        if let Some(mix) = &plan.mix
            && self.record.rollout.as_ref().is_some_and(|rollout| rollout.release != *active)
        {
            // Between two steps nothing may be added but what the plan says.
            return self.mixed_routes(mix);
        }
        let ready: Vec<UnitId> = (1..=self.slots())
            .map(|slot| UnitId::new(self.app(), active, slot))
            .filter(|unit| self.can_serve(unit) && !self.must_restart(unit))
            .collect();
        let mut routes = self.routes_to(active, ready.iter(), self.availability(active))?;
        if ready.is_empty() && self.has_crashed(active) {
            let hold = &mut routes.service.limits.hold;
            *hold = ServiceLimits::CRASH_HOLD.min(*hold);
        }
        Some(routes)
    }

    /// Whether instances have ended by themselves since the user last asked for them.
    fn has_crashed(&self, active: &ReleaseId) -> bool {
        let mut units = self.units.iter().filter(|(id, _)| id.release() == active);
        units.any(|(_, unit)| matches!(unit.state, UnitState::Crashed(_)) || unit.crashes.total() > 0)
    }

    /// The mix of both releases that is to serve next, as soon as all units of the new one in it can.
    fn next_mix<'p>(&self, plan: &'p Plan) -> Option<&'p Mix> {
        let active = self.record.active.as_ref();
        let complete = |mix: &Mix| {
            mix.units.iter().filter(|unit| Some(unit.release()) != active).all(|unit| self.can_serve(unit))
        };
        plan.next_steps().iter().find_map(|step| match step {
            Step::Mix(mix) => Some(mix).filter(|mix| complete(mix)),
            _ => None,
        })
    }

    /// Routes to those units of a mix that can serve.
    fn mixed_routes(&self, mix: &Mix) -> Option<AppRoutes> {
        let active = self.record.active.as_ref()?;
        let serves = |unit: &&UnitId| {
            let surplus = unit.release() == active && unit.slot() > self.slots();
            !surplus && self.can_serve(unit) && !self.must_restart(unit)
        };
        let mut routes = self.routes_to(active, mix.units.iter().filter(serves), Availability::Serving)?;
        let tried = |split: &&Split| routes.units.iter().any(|unit| *unit.release() == split.release);
        routes.service.split = mix.split.as_ref().filter(tried).cloned();
        Some(AppRoutes { mix: mix.number, ..routes })
    }

    pub(super) fn can_serve(&self, id: &UnitId) -> bool {
        self.units.get(id).is_some_and(Unit::can_serve)
    }

    fn routes_to<'a>(
        &self,
        release: &ReleaseId,
        units: impl Iterator<Item = &'a UnitId>,
        availability: Availability,
    ) -> Option<AppRoutes> {
        let known = self.releases.get(release)?;
        let spec = self.record.domains.applied(release, &known.spec);
        let mut routes = AppRoutes::new(self.app(), release, &spec, availability);
        routes.service.gate = self.record.gate;
        routes.ingress = self.record.ingress;
        if known.portless {
            routes.routes.clear();
        }
        for id in units {
            let unit = self.units.get(id);
            let (address, started) = (unit.and_then(|unit| unit.address), unit.and_then(|unit| unit.started));
            // Two releases may serve at once.
            let own = self.releases.get(id.release()).unwrap_or(known);
            routes.add(id, address, started, own.spec.protocol);
        }
        if routes.units.is_empty() {
            let taken = self.own_ports_of_rollout();
            routes.host_ports.retain(|port| !taken.contains(&port.bind.port()));
        }
        Some(routes)
    }

    /// The ports that one of the releases of the deployment under way has itself: in the gap between the two nobody else
    /// may have them.
    fn own_ports_of_rollout(&self) -> BTreeSet<u16> {
        let Some(rollout) = &self.record.rollout else { return BTreeSet::new() };
        let releases = [Some(rollout.release.clone()), self.release_before(&rollout.release)];
        let specs = releases.iter().flatten().filter_map(|release| self.spec_of(release));
        specs.flat_map(|spec| spec.own_ports().map(|bind| bind.port())).collect()
    }

    /// Refused at once when no unit may start again by itself soon; otherwise requests wait for the next one.
    fn availability(&self, active: &ReleaseId) -> Availability {
        let mut units = self.units.iter().filter(|(id, _)| id.release() == active);
        let all_given_up = self.units.iter().any(|(id, _)| id.release() == active)
            && units.all(|(_, unit)| {
                matches!(unit.state, UnitState::Crashed(_) | UnitState::Absent)
                    && unit.has_given_up()
                    && unit.is_idle()
            });
        if all_given_up {
            Availability::Failed { reason: "it ended and is not started again for now".to_owned() }
        } else {
            Availability::Serving
        }
    }
}

fn applied_units(step: &Step) -> Option<&Vec<UnitId>> {
    match step {
        Step::Apply(units) => Some(units),
        _ => None,
    }
}
