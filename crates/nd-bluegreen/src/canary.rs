//! Canary: some of the clients get the new release first, and more of them while it does well.

use std::num::NonZeroU16;

use nd_core::model::side_by_side;
use nd_core::plan::{Mix, Plan, Step};
use nd_core::ports::{DeployStrategy, PlanInput, RuntimeCaps};
use nd_core::spec::AppSpec;
use nd_types::{Split, StrategyName};

use crate::bluegreen::BlueGreen;
use crate::rolling::Rolling;
use crate::view::{View, bring_down, bring_up, ids};

/// All new units start beside the old ones and become ready. Then they get a growing share of the clients, and are watched
/// at each step; after the last one they take over. All old units stay until then, so that the way back is one table.
/// Where nothing serves beside which it could be tried, it is [`BlueGreen`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Canary;

impl DeployStrategy for Canary {
    fn name(&self) -> StrategyName {
        StrategyName::Canary
    }

    fn check(&self, spec: &AppSpec, caps: RuntimeCaps, fixed_port: Option<NonZeroU16>) -> Result<(), String> {
        side_by_side(spec, caps, fixed_port)
    }

    fn plan(&self, input: &PlanInput<'_>) -> Plan {
        let tried = input.canary.filter(|_| input.old.is_some() && !input.switched);
        let Some(canary) = tried else { return BlueGreen.plan(input) };
        let view = View::new(input);
        let shares = || (1..).zip(canary.shares());
        let serves = shares().find(|(number, _)| *number == input.mixed);
        let serves = serves.map(|(number, percent)| mix(&view, input, number, percent));
        let mut plan = Plan { mix: serves, ..Plan::default() };
        if !input.prepared {
            plan.stage([Step::Prepare(input.new.clone())]);
        }
        bring_up(&mut plan, &view.new_units().collect::<Vec<_>>());
        for (number, percent) in shares().filter(|_| !input.promoted) {
            if number > input.mixed {
                plan.stage([Step::Mix(mix(&view, input, number, percent))]);
            }
            if number > input.watched {
                plan.stage([Step::Watch { percent, pause: canary.pause }]);
            }
        }
        plan.stage([Step::Apply(ids(view.new_units()))]);
        bring_down(&mut plan, &view.all_old_units().collect::<Vec<_>>());
        plan
    }

    fn undo(&self, input: &PlanInput<'_>) -> Plan {
        Rolling.undo(input)
    }
}

fn mix(view: &View<'_>, input: &PlanInput<'_>, number: u16, percent: u8) -> Mix {
    let units = ids(view.new_units()).into_iter().chain(ids(view.all_old_units())).collect();
    Mix { number, units, split: Some(Split { release: input.new.clone(), percent }) }
}
