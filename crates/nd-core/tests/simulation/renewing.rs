//! Starting anew what runs: because it fails its checks, uses too much memory, or was asked to.

use std::time::Duration;

use nd_core::events::{Event, RestartReason};
use nd_core::model::AppPhase;
use nd_core::model::edit::Edit;
use nd_core::spec::RestartPolicy;
use nd_types::{ExitStatus, ReleaseId, StrategyName, UnitId};

use crate::laws::Law;
use crate::recipe::{Nature, Recipe};
use crate::sim::Sim;
use crate::story::running;

const BLUE: StrategyName = StrategyName::BlueGreen;
const RECREATE: StrategyName = StrategyName::Recreate;

fn unhealthy(event: &Event) -> bool {
    matches!(event, Event::UnitUnhealthy { .. })
}

fn restarted_for(sim: &Sim, reason: RestartReason) -> usize {
    sim.said(|event| matches!(event, Event::UnitStarted { restart: Some(why) } if *why == reason))
}

#[test]
fn a_unit_that_fails_three_checks_gets_no_requests_and_after_six_it_is_started_anew() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    let (ill, well) = (sim.unit(&release, 1), sim.unit(&release, 2));
    sim.world.ill.insert(ill.clone());
    sim.until("it is out of the pool", |sim| sim.routes_to(&release, 1))?;
    assert!(sim.serves(&well), "the other one goes on");
    assert_eq!(sim.said(unhealthy), 1);
    assert_eq!(sim.model.status().phase, AppPhase::Degraded);
    sim.until("it is started anew", |sim| restarted_for(sim, RestartReason::Health) == 1)?;
    sim.settle()?;
    sim.check_goal()
}

#[test]
fn a_unit_that_recovers_gets_requests_again_and_is_not_restarted() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    let ill = sim.unit(&release, 1);
    sim.world.ill.insert(ill.clone());
    sim.until("it is out of the pool", |sim| sim.routes_to(&release, 1))?;
    sim.world.ill.clear();
    sim.until("it is back", |sim| sim.routes_to(&release, 2))?;
    assert_eq!(sim.said(|event| matches!(event, Event::UnitRecovered)), 1);
    assert_eq!(restarted_for(&sim, RestartReason::Health), 0);
    Ok(())
}

#[test]
fn a_unit_that_may_never_be_restarted_only_leaves_the_pool() -> Law {
    let recipe = Recipe { policy: RestartPolicy::Never, ..Nature::Good.into() };
    let (mut sim, release) = running(recipe, BLUE, 2)?;
    sim.world.ill.insert(sim.unit(&release, 1));
    sim.until("it is out of the pool", |sim| sim.routes_to(&release, 1))?;
    let until = sim.world.now().mono + Duration::from_secs(120);
    sim.until("two minutes later", |sim| sim.world.now().mono >= until)?;
    assert_eq!(restarted_for(&sim, RestartReason::Health), 0);
    Ok(())
}

#[test]
fn a_unit_that_is_always_ill_is_restarted_less_and_less_often() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    let unit = sim.unit(&release, 1);
    for _ in 0..2 {
        sim.until("it serves", |sim| sim.serves(&unit))?;
        sim.world.ill.insert(unit.clone());
        let before = restarted_for(&sim, RestartReason::Health);
        sim.until("it is started anew", |sim| restarted_for(sim, RestartReason::Health) > before)?;
    }
    assert_eq!(sim.model.units().get(&unit).map(|unit| unit.crashes.total()), Some(2));
    Ok(())
}

/// Whether the table led to somebody at every moment until the app came to rest.
fn nobody_notices(sim: &mut Sim, done: impl Fn(&Sim) -> bool) -> Law {
    sim.until("it is done", |sim| {
        assert!(!sim.world.routed().is_empty(), "for a moment nobody serves");
        done(sim) && sim.pending.is_empty() && sim.model.status().settled
    })
}

#[test]
fn a_reload_is_noticed_by_nobody_also_with_one_instance() -> Law {
    for replicas in [1, 2, 3] {
        let (mut sim, release) = running(Nature::Good, BLUE, replicas)?;
        let first = sim.unit(&release, 1);
        let before = sim.world.units.get(&first).map(|machine| machine.status.clone());
        sim.wish_for(&Edit::Reload)?;
        nobody_notices(&mut sim, |_| true)?;
        let after = sim.world.units.get(&first).map(|machine| machine.status.clone());
        assert_ne!(before, after, "{replicas}: it was not started anew");
        sim.check_goal()?;
    }
    Ok(())
}

#[test]
fn a_reload_of_two_that_becomes_one_of_one_is_noticed_by_nobody() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    sim.wish_for(&Edit::Reload)?;
    sim.wish_for(&Edit::Scale(1))?;
    nobody_notices(&mut sim, |sim| sim.routes_to(&release, 1))?;
    assert_eq!(restarted_for(&sim, RestartReason::Manual), 1);
    sim.check_goal()
}

#[test]
fn two_units_that_cannot_run_side_by_side_are_reloaded_with_a_gap() -> Law {
    let (mut sim, release) = running(Nature::Good, RECREATE, 1)?;
    sim.wish_for(&Edit::Reload)?;
    let second = sim.unit(&release, 2);
    sim.settle()?;
    assert!(!sim.world.units.contains_key(&second));
    assert_eq!(restarted_for(&sim, RestartReason::Manual), 1);
    sim.check_goal()
}

#[test]
fn a_unit_over_its_memory_limit_is_started_anew_without_a_gap() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    sim.world.greedy.insert(sim.unit(&release, 1));
    nobody_notices(&mut sim, |sim| restarted_for(sim, RestartReason::MemoryLimit) == 1)?;
    sim.check_goal()
}

#[test]
fn a_reload_whose_stand_in_never_starts_is_given_up_and_the_old_one_serves_on() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    sim.world.natures.insert(release.clone(), Nature::DiesStarting);
    sim.wish_for(&Edit::Reload)?;
    nobody_notices(&mut sim, |sim| {
        sim.said(|event| matches!(event, Event::Trouble { message } if message.contains("stand in"))) == 1
    })?;
    sim.serves_only(&release)
}

/// An app whose only unit has ended for good while another stands in for it.
fn stood_in_for() -> Result<(Sim, ReleaseId), String> {
    let recipe = Recipe { policy: RestartPolicy::Never, ..Nature::Good.into() };
    let (mut sim, release) = running(recipe, BLUE, 1)?;
    sim.wish_for(&Edit::Reload)?;
    let (only, second) = (sim.unit(&release, 1), sim.unit(&release, 2));
    sim.until("another stands in", |sim| sim.world.routed().contains(&second))?;
    end(&mut sim, &only)?;
    Ok((sim, release))
}

fn end(sim: &mut Sim, unit: &UnitId) -> Law {
    sim.world.crash(unit, ExitStatus::Code(1));
    sim.model.look_again();
    sim.settle()
}

#[test]
fn what_stands_in_serves_on_for_a_unit_that_has_ended_for_good() -> Law {
    let (sim, release) = stood_in_for()?;
    assert_eq!(sim.world.routed(), [sim.unit(&release, 2)].into());
    Ok(())
}

#[test]
fn nothing_stands_in_once_it_has_ended_for_good_as_well() -> Law {
    let (mut sim, release) = stood_in_for()?;
    let second = sim.unit(&release, 2);
    end(&mut sim, &second)?;
    sim.check_goal()
}

#[test]
fn a_schedule_starts_every_unit_anew_when_its_time_has_come() -> Law {
    let (mut sim, _) = running(Nature::Scheduled, BLUE, 2)?;
    nobody_notices(&mut sim, |sim| restarted_for(sim, RestartReason::Cron) == 2)?;
    sim.check_goal()
}
