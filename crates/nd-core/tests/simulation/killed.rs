//! The daemon is killed at any point: it observes, plans again and goes on.

use nd_core::model::{Action, UnitAction};
use nd_core::records::DeploymentStatus;
use nd_types::{StrategyName, UnitId};

use crate::laws::Law;
use crate::recipe::Nature;
use crate::sim::{Outcome, Sim};
use crate::story::running;
use crate::world::Machine;

/// Kills the daemon after the `step`-th end of an action of a deployment; answers whether it came to that.
fn killed_after(step: usize, strategy: StrategyName, effects: u32, stored: bool) -> Result<bool, String> {
    let (mut sim, _) = running(Nature::Good, strategy, 2)?;
    let new = sim.deploy(Nature::Good, strategy, 2)?;
    for _ in 0..step {
        if sim.pending.is_empty() {
            return Ok(false);
        }
        sim.advance(std::time::Duration::from_millis(1));
        sim.complete(0, Outcome::Done);
        sim.activate()?;
    }
    sim.kill(effects, stored, false)?;
    sim.settle()?;
    sim.serves_only(&new)?;
    sim.ended(DeploymentStatus::Succeeded)?;
    Ok(true)
}

#[test]
fn a_daemon_killed_after_any_step_of_a_deployment_completes_it() -> Law {
    for strategy in [StrategyName::BlueGreen, StrategyName::Recreate, StrategyName::Rolling] {
        for (effects, stored) in [(0, true), (u32::MAX, true), (0, false), (u32::MAX, false), (0b0101, false)]
        {
            let mut step = 0;
            while killed_after(step, strategy, effects, stored)
                .map_err(|broken| format!("{strategy}, step {step}, {effects:b}, {stored}: {broken}"))?
            {
                step += 1;
            }
            assert!(step > 10, "a deployment has more steps than {step}");
        }
    }
    Ok(())
}

#[test]
fn units_that_run_are_adopted_and_not_started_anew() -> Law {
    let (mut sim, release) = running(Nature::Good, StrategyName::BlueGreen, 3)?;
    let before: Vec<_> = sim.world.units.values().map(|unit| unit.address).collect();
    sim.kill(0, true, false)?;
    sim.settle()?;
    sim.serves_only(&release)?;
    assert_eq!(sim.world.units.values().map(|unit| unit.address).collect::<Vec<_>>(), before);
    Ok(())
}

#[test]
fn a_unit_that_ended_while_no_daemon_looked_is_started() -> Law {
    let (mut sim, release) = running(Nature::Good, StrategyName::BlueGreen, 2)?;
    let unit = sim.unit(&release, 1);
    sim.world.crash(&unit, nd_types::ExitStatus::Signal(9));
    sim.kill(0, true, false)?;
    sim.end(Outcome::Done, |action| matches!(action, Action::Observe { .. }))?;
    assert!(sim.does(&unit, |action| matches!(action, UnitAction::Start(_))));
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_unit_of_a_release_that_nobody_knows_is_removed() -> Law {
    let (mut sim, release) = running(Nature::Good, StrategyName::BlueGreen, 1)?;
    let stranger = UnitId::new(&sim.world.app, &"zzzzz".parse().map_err(|_| "no release id")?, 1);
    let machine = sim.world.units.get(&sim.unit(&release, 1)).cloned().ok_or("nothing runs")?;
    sim.world.units.insert(stranger.clone(), Machine { address: ([10, 9, 9, 9], 1).into(), ..machine });
    sim.settle()?;
    sim.serves_only(&release)?;
    assert!(!sim.world.units.contains_key(&stranger));
    Ok(())
}

#[test]
fn nothing_changes_before_the_units_were_looked_at() -> Law {
    let (mut sim, _) = running(Nature::Good, StrategyName::BlueGreen, 2)?;
    sim.kill(0, true, true)?;
    let begun: Vec<&Action> = sim.pending.iter().map(|pending| &pending.action).collect();
    assert!(matches!(begun.as_slice(), [Action::Observe { .. }]), "{begun:?}");
    Ok(())
}

#[test]
fn what_served_before_serves_on_without_being_asked_again() -> Law {
    let (mut sim, release) = running(Nature::Good, StrategyName::BlueGreen, 2)?;
    sim.kill(0, true, true)?;
    sim.until("it is settled", |sim| {
        assert!(sim.routes_to(&release, 2), "for a moment fewer serve");
        sim.model.status().settled
    })
}

#[test]
fn nothing_stops_before_a_table_of_this_daemon_serves() -> Law {
    let (mut sim, _) = running(Nature::Good, StrategyName::BlueGreen, 2)?;
    sim.wish_for(&nd_core::model::edit::Edit::Stop)?;
    sim.kill(0, true, true)?;
    sim.end(Outcome::Done, |action| matches!(action, Action::Observe { .. }))?;
    assert!(sim.applies() && !stops(&sim), "a unit is brought down while the old table may lead to it");
    sim.settle()?;
    sim.check_goal()
}

fn stops(sim: &Sim) -> bool {
    let down = |action: &Action| matches!(action, Action::Unit(_, UnitAction::Drain | UnitAction::Stop));
    sim.pending.iter().any(|pending| down(&pending.action))
}

#[test]
fn apps_that_end_with_the_daemon_start_with_the_next_one() -> Law {
    let (mut sim, release) = running(Nature::Good, StrategyName::BlueGreen, 2)?;
    sim.world.request(0);
    sim.end_with_apps()?;
    assert_eq!(sim.world.running().count(), 0, "something runs on");
    sim.settle()?;
    sim.serves_only(&release)
}
