//! Blue-green: the new release starts beside the old one and takes over when it is ready.

use std::num::NonZeroU16;

use nd_core::model::side_by_side;
use nd_core::plan::{Plan, Step};
use nd_core::ports::{DeployStrategy, PlanInput, RuntimeCaps, UnitReadiness};
use nd_core::spec::AppSpec;
use nd_types::StrategyName;

use crate::view::{View, bring_down, bring_up, ids};

/// Prepare, create, start and wait for the new units; route to them; drain and stop the old ones, which stay for a
/// rollback. Until the routes have changed the old release never notices.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlueGreen;

impl DeployStrategy for BlueGreen {
    fn name(&self) -> StrategyName {
        StrategyName::BlueGreen
    }

    fn check(&self, spec: &AppSpec, caps: RuntimeCaps, fixed_port: Option<NonZeroU16>) -> Result<(), String> {
        side_by_side(spec, caps, fixed_port)
    }

    fn plan(&self, input: &PlanInput<'_>) -> Plan {
        let view = View::new(input);
        let mut plan = Plan::default();
        // Once it has taken over, what becomes of its units is nothing the old ones wait for.
        if !input.switched && !view.switched_to_new() {
            if !input.prepared {
                plan.stage([Step::Prepare(input.new.clone())]);
            }
            bring_up(&mut plan, &view.new_units().collect::<Vec<_>>());
            plan.stage([Step::Apply(ids(view.new_units()))]);
        }
        bring_down(&mut plan, &view.all_old_units().collect::<Vec<_>>());
        plan
    }

    fn undo(&self, input: &PlanInput<'_>) -> Plan {
        let view = View::new(input);
        if input.switched && input.old.is_none() {
            // Nothing served before: there is no way back.
            return Plan::default();
        }
        let mut plan = Plan::default();
        let new_serves = input.switched || view.all_new_units().any(|unit| unit.routed);
        if new_serves && input.old.is_some() && !view.switched_to_old() {
            bring_up(&mut plan, &view.old_units().collect::<Vec<_>>());
            plan.stage([Step::Apply(ids(view.old_units()))]);
        } else if new_serves && input.old.is_none() {
            plan.stage([Step::Apply(Vec::new())]);
        }
        bring_down(&mut plan, &view.all_new_units().collect::<Vec<_>>());
        let left = view.all_new_units().filter(|unit| unit.readiness != UnitReadiness::Absent);
        plan.stage(left.map(|unit| Step::Remove(unit.id.clone())));
        plan
    }
}
