//! Recreate: the old release stops before the new one starts, and requests wait in between.

use std::num::NonZeroU16;

use nd_core::plan::{Plan, Step};
use nd_core::ports::{DeployStrategy, PlanInput, RuntimeCaps, UnitReadiness};
use nd_core::spec::AppSpec;
use nd_types::StrategyName;

use crate::view::{View, bring_down, bring_up, ids, is_running};

/// Prepare and create the new units while the old ones serve; then hold requests, drain and stop the old ones, start
/// the new ones, wait and route. For apps with a writable volume or a port of the host's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recreate;

impl DeployStrategy for Recreate {
    fn name(&self) -> StrategyName {
        StrategyName::Recreate
    }

    fn check(&self, _: &AppSpec, _: RuntimeCaps, _: Option<NonZeroU16>) -> Result<(), String> {
        Ok(())
    }

    fn plan(&self, input: &PlanInput<'_>) -> Plan {
        let view = View::new(input);
        let mut plan = Plan::default();
        if input.switched || view.switched_to_new() {
            return plan;
        }
        if !input.prepared {
            plan.stage([Step::Prepare(input.new.clone())]);
        }
        let absent = view.new_units().filter(|unit| unit.readiness == UnitReadiness::Absent);
        plan.stage(absent.map(|unit| Step::Create(unit.id.clone())));
        // While one of the new units may run, the old ones must not come back.
        if plan.is_done() || view.all_new_units().any(is_running) {
            view.take_over(&mut plan);
        }
        if view.all_old_units().any(|unit| unit.routed) {
            plan.stage([Step::Apply(Vec::new())]);
        }
        bring_down(&mut plan, &view.all_old_units().collect::<Vec<_>>());
        let created: Vec<_> = view.new_units().cloned().map(as_created).collect();
        bring_up(&mut plan, &created.iter().collect::<Vec<_>>());
        plan.stage([Step::Apply(ids(view.new_units()))]);
        plan
    }

    fn undo(&self, input: &PlanInput<'_>) -> Plan {
        let view = View::new(input);
        if input.switched && input.old.is_none() {
            // Nothing served before: there is no way back.
            return Plan::default();
        }
        let mut plan = Plan::default();
        if view.all_new_units().any(|unit| unit.routed) {
            plan.stage([Step::Apply(Vec::new())]);
        }
        bring_down(&mut plan, &view.all_new_units().collect::<Vec<_>>());
        let left = view.all_new_units().filter(|unit| unit.readiness != UnitReadiness::Absent);
        plan.stage(left.map(|unit| Step::Remove(unit.id.clone())));
        // Only when nothing of the new release runs any more may the old one start again.
        if input.old.is_some() && !view.all_old_units().any(|unit| unit.routed) {
            bring_up(&mut plan, &view.old_units().collect::<Vec<_>>());
            plan.stage([Step::Apply(ids(view.old_units()))]);
        }
        if view.all_new_units().any(is_running) {
            view.take_over(&mut plan);
        }
        plan
    }
}

/// An absent unit counts as created in the stages after its creation.
fn as_created(unit: nd_core::ports::UnitInput) -> nd_core::ports::UnitInput {
    match unit.readiness {
        UnitReadiness::Absent => nd_core::ports::UnitInput { readiness: UnitReadiness::Stopped, ..unit },
        _ => unit,
    }
}
