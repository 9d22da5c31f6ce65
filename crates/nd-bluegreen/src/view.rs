//! The units of a deployment, sorted by what a strategy asks of them.

use nd_core::plan::{Mix, Plan, Step};
use nd_core::ports::{PlanInput, UnitInput, UnitReadiness};
use nd_types::UnitId;

/// The two sides of a deployment.
pub(crate) struct View<'a> {
    input: &'a PlanInput<'a>,
}

impl<'a> View<'a> {
    pub(crate) fn new(input: &'a PlanInput<'a>) -> Self {
        Self { input }
    }

    /// Units of the new release, as many as are wanted.
    pub(crate) fn new_units(&self) -> impl Iterator<Item = &'a UnitInput> + use<'a> {
        let input = self.input;
        input
            .units
            .iter()
            .filter(move |unit| unit.id.release() == input.new && unit.id.slot() <= input.replicas)
    }

    /// Units of the new release, surplus ones included.
    pub(crate) fn all_new_units(&self) -> impl Iterator<Item = &'a UnitInput> + use<'a> {
        let input = self.input;
        input.units.iter().filter(move |unit| unit.id.release() == input.new)
    }

    /// Units of the old release that served before.
    pub(crate) fn old_units(&self) -> impl Iterator<Item = &'a UnitInput> + use<'a> {
        let input = self.input;
        self.all_old_units().filter(move |unit| unit.id.slot() <= input.old_replicas)
    }

    /// Units of the old release, surplus ones included.
    pub(crate) fn all_old_units(&self) -> impl Iterator<Item = &'a UnitInput> + use<'a> {
        let input = self.input;
        input.units.iter().filter(move |unit| Some(unit.id.release()) == input.old)
    }

    /// Makes the old units the plan's, and leaves the routes as they are until it says otherwise.
    pub(crate) fn take_over(&self, plan: &mut Plan) {
        plan.owned = self.all_old_units().map(|unit| unit.id.clone()).collect();
        plan.mix = Some(self.as_routed());
    }

    /// What the routes lead to now.
    pub(crate) fn as_routed(&self) -> Mix {
        let units = ids(self.input.units.iter().filter(|unit| unit.routed));
        Mix { number: self.input.mixed, units, split: None }
    }

    /// Whether the routes lead to exactly the wanted units of the new release.
    pub(crate) fn switched_to_new(&self) -> bool {
        self.new_units().all(|unit| unit.routed) && !self.all_old_units().any(|unit| unit.routed)
    }

    /// Whether the routes lead to the old release alone.
    pub(crate) fn switched_to_old(&self) -> bool {
        self.old_units().all(|unit| unit.routed) && !self.all_new_units().any(|unit| unit.routed)
    }
}

pub(crate) fn ids<'a>(units: impl Iterator<Item = &'a UnitInput>) -> Vec<UnitId> {
    units.map(|unit| unit.id.clone()).collect()
}

/// Creates, starts and waits for units that are not ready yet, one stage each.
pub(crate) fn bring_up(plan: &mut Plan, units: &[&UnitInput]) {
    let at_most = |most: UnitReadiness| units.iter().filter(move |unit| rank(unit.readiness) <= rank(most));
    plan.stage(at_most(UnitReadiness::Absent).map(|unit| Step::Create(unit.id.clone())));
    plan.stage(at_most(UnitReadiness::Stopped).map(|unit| Step::Start(unit.id.clone())));
    plan.stage(at_most(UnitReadiness::Running).map(|unit| Step::WaitReady(unit.id.clone())));
}

/// Drains and stops units that run, one stage each.
pub(crate) fn bring_down(plan: &mut Plan, units: &[&UnitInput]) {
    let running = || units.iter().filter(|unit| is_running(unit));
    plan.stage(
        running().filter(|unit| unit.routed || !unit.drained).map(|unit| Step::Drain(unit.id.clone())),
    );
    plan.stage(running().map(|unit| Step::Stop(unit.id.clone())));
}

pub(crate) fn is_running(unit: &UnitInput) -> bool {
    matches!(unit.readiness, UnitReadiness::Starting | UnitReadiness::Running | UnitReadiness::Ready)
}

fn rank(readiness: UnitReadiness) -> u8 {
    match readiness {
        UnitReadiness::Absent => 0,
        UnitReadiness::Stopped | UnitReadiness::Starting => 1,
        UnitReadiness::Running => 2,
        UnitReadiness::Ready => 3,
    }
}
