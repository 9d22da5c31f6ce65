//! Rolling: the instances of the old release are replaced one after the other.

use std::num::NonZeroU16;

use nd_core::model::side_by_side;
use nd_core::plan::{Mix, Plan, Step};
use nd_core::ports::{DeployStrategy, PlanInput, RuntimeCaps, UnitInput, UnitReadiness};
use nd_core::spec::AppSpec;
use nd_types::StrategyName;

use crate::bluegreen::BlueGreen;
use crate::view::{View, bring_down, bring_up, ids};

/// One new unit starts beside the old ones, becomes ready and is routed; then one old unit is drained and stopped; and
/// so on. Both releases serve until the last new unit is ready: then the new one takes over alone. An app never has
/// more than one unit beyond what it should have. The first deployment of an app is [`BlueGreen`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rolling;

impl DeployStrategy for Rolling {
    fn name(&self) -> StrategyName {
        StrategyName::Rolling
    }

    fn check(&self, spec: &AppSpec, caps: RuntimeCaps, fixed_port: Option<NonZeroU16>) -> Result<(), String> {
        side_by_side(spec, caps, fixed_port)
    }

    fn plan(&self, input: &PlanInput<'_>) -> Plan {
        if input.old.is_none() || input.switched {
            return BlueGreen.plan(input);
        }
        let view = View::new(input);
        let mut plan = Plan::default();
        if input.mixed > 0 {
            plan.owned = retired(&view, input.mixed).map(|unit| unit.id.clone()).collect();
            plan.mix = Some(mix(&view, input.mixed));
        }
        if !input.prepared {
            plan.stage([Step::Prepare(input.new.clone())]);
        }
        bring_down(&mut plan, &retired(&view, input.mixed).collect::<Vec<_>>());
        let mut up = 0;
        for number in input.mixed + 1..input.replicas {
            bring_up(&mut plan, &slots(&view, up, number));
            plan.stage([Step::Mix(mix(&view, number))]);
            let before: Vec<_> = ids(retired(&view, number - 1));
            let next: Vec<_> = retired(&view, number).filter(|unit| !before.contains(&unit.id)).collect();
            bring_down(&mut plan, &next);
            up = number;
        }
        bring_up(&mut plan, &slots(&view, up, input.replicas));
        plan.stage([Step::Apply(ids(view.new_units()))]);
        let gone = ids(retired(&view, input.replicas.saturating_sub(1)));
        let left: Vec<_> = view.all_old_units().filter(|unit| !gone.contains(&unit.id)).collect();
        bring_down(&mut plan, &left);
        plan
    }

    fn undo(&self, input: &PlanInput<'_>) -> Plan {
        if input.old.is_none() || input.switched {
            return BlueGreen.undo(input);
        }
        let view = View::new(input);
        let mut plan = Plan::default();
        if view.all_new_units().any(|unit| unit.routed) {
            let ready = || view.old_units().filter(|unit| unit.readiness == UnitReadiness::Ready);
            if ready().next().is_none() {
                // Better the new release than none.
                plan.mix = Some(view.as_routed());
                bring_up(&mut plan, &view.old_units().collect::<Vec<_>>());
                plan.stage([Step::Apply(ids(view.old_units()))]);
            } else {
                // The others follow as they become ready.
                plan.stage([Step::Apply(ids(ready()))]);
            }
        }
        bring_down(&mut plan, &view.all_new_units().collect::<Vec<_>>());
        let left = view.all_new_units().filter(|unit| unit.readiness != UnitReadiness::Absent);
        plan.stage(left.map(|unit| Step::Remove(unit.id.clone())));
        plan
    }
}

/// New units in the slots after `after`, up to and with `last`.
fn slots<'a>(view: &View<'a>, after: u16, last: u16) -> Vec<&'a UnitInput> {
    view.new_units().filter(|unit| unit.id.slot() > after && unit.id.slot() <= last).collect()
}

/// The old units that have gone by the time of a mix: as many as there are new ones in it. The last one stays until the
/// new release serves alone.
fn retired<'a>(view: &View<'a>, number: u16) -> impl Iterator<Item = &'a UnitInput> + use<'a> {
    let last = view.old_units().map(|unit| unit.id.slot()).max().unwrap_or(0);
    view.old_units().filter(move |unit| unit.id.slot() <= number && unit.id.slot() < last)
}

fn mix(view: &View<'_>, number: u16) -> Mix {
    let gone = ids(retired(view, number));
    let stay = ids(view.all_old_units().filter(|unit| !gone.contains(&unit.id)));
    let new = ids(slots(view, 0, number).into_iter());
    Mix { number, units: new.into_iter().chain(stay).collect(), split: None }
}
