//! Deployments: the new release takes over, or the old one never notices.

use std::time::Duration;

use nd_core::events::Event;
use nd_core::model::edit::{Edit, EditError};
use nd_core::model::{Action, AppPhase, UnitAction};
use nd_core::ports::PortErrorKind;
use nd_core::records::DeploymentStatus;
use nd_types::{Availability, ExitStatus, StrategyName};

use crate::laws::{Law, holds};
use crate::recipe::Nature;
use crate::sim::{Outcome, Sim};
use crate::story::running;

const BLUE: StrategyName = StrategyName::BlueGreen;
const RECREATE: StrategyName = StrategyName::Recreate;

#[test]
fn a_first_deployment_serves_and_succeeds() -> Law {
    let (sim, release) = running(Nature::Good, BLUE, 2)?;
    sim.serves_only(&release)?;
    sim.ended(DeploymentStatus::Succeeded)?;
    assert_eq!(sim.said(|event| matches!(event, Event::DeploySucceeded { .. })), 1);
    Ok(())
}

#[test]
fn a_release_that_fails_before_it_serves_leaves_the_old_one_as_it_was() -> Law {
    for nature in [Nature::NeverReady, Nature::DiesStarting, Nature::Missing, Nature::Unstartable] {
        let (mut sim, old) = running(Nature::Good, BLUE, 2)?;
        let before: Vec<_> = sim.world.units.iter().map(|(id, unit)| (id.clone(), unit.address)).collect();
        sim.deploy(nature, BLUE, 2)?;
        sim.until("the deployment has ended", |sim| {
            assert!(sim.routes_to(&old, 2), "{nature:?}: the old release noticed");
            sim.model.record().rollout.is_none()
        })?;
        sim.ended(DeploymentStatus::Failed)?;
        sim.settle()?;
        sim.serves_only(&old)?;
        let after: Vec<_> = sim.world.units.iter().map(|(id, unit)| (id.clone(), unit.address)).collect();
        assert_eq!(after, before, "{nature:?}: the old units were not left alone");
    }
    Ok(())
}

#[test]
fn a_release_that_dies_while_it_starts_is_reported_with_its_exit() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 1)?;
    sim.deploy(Nature::DiesStarting, BLUE, 1)?;
    sim.settle()?;
    let deployment = sim.ended(DeploymentStatus::Failed)?;
    assert_eq!(deployment.error.and_then(|error| error.exit), Some(ExitStatus::Code(1)));
    assert_eq!(sim.said(|event| matches!(event, Event::DeployFailed { old_serves: true, .. })), 1);
    Ok(())
}

#[test]
fn what_may_pass_is_tried_again_until_the_deadline_and_then_named() -> Law {
    let (mut sim, old) = running(Nature::Good, BLUE, 1)?;
    sim.deploy(Nature::Good, BLUE, 1)?;
    let mut tries = 0;
    while sim.model.record().rollout.is_some() {
        assert!(tries < 200, "it is tried for ever");
        if sim.pending.iter().any(|pending| matches!(pending.action, Action::Prepare(_))) {
            tries += 1;
            let refused = Outcome::Fails(PortErrorKind::Unavailable);
            sim.end(refused, |action| matches!(action, Action::Prepare(_)))?;
        } else {
            let until = sim.wake_at.ok_or("nobody wakes it")?;
            sim.advance(until.saturating_since(sim.world.now().mono));
            sim.activate()?;
        }
    }
    assert!(tries > 5, "only {tries} tries");
    let error = sim.ended(DeploymentStatus::Failed)?.error.ok_or("no error")?;
    assert_eq!(error.what, "gave up at the deadline: it went wrong");
    sim.settle()?;
    sim.serves_only(&old)
}

#[test]
fn the_old_units_are_drained_and_stopped_after_the_new_table_serves_and_are_kept() -> Law {
    let (mut sim, old) = running(Nature::Good, BLUE, 1)?;
    let new = sim.deploy(Nature::Good, BLUE, 1)?;
    let unit = sim.unit(&old, 1);
    sim.until("the new table is on its way", Sim::applies)?;
    assert!(!sim.does(&unit, |_| true), "the old unit is touched before the new table serves");
    sim.world.request(0);
    sim.end(Outcome::Done, |action| matches!(action, Action::Apply(_)))?;
    assert!(sim.routes_to(&new, 1));
    assert!(sim.does(&unit, |action| *action == UnitAction::Drain));
    assert_eq!(sim.world.in_flight(&unit), 1, "the request is still being answered");
    sim.end(Outcome::Done, |action| matches!(action, Action::Unit(_, UnitAction::Drain)))?;
    assert!(sim.does(&unit, |action| *action == UnitAction::Stop));
    sim.settle()?;
    assert!(sim.world.units.contains_key(&unit), "the old unit is kept for a rollback");
    assert_eq!(sim.model.record().kept, [old]);
    sim.serves_only(&new)
}

#[test]
fn a_rollback_starts_the_kept_units_and_creates_none() -> Law {
    let (mut sim, old) = running(Nature::Good, BLUE, 2)?;
    sim.deploy(Nature::Good, BLUE, 2)?;
    sim.settle()?;
    let back = sim.old_release(old.clone(), BLUE)?;
    sim.wish_for(&back)?;
    sim.until("the old release serves", |sim| {
        let creates =
            |action: &Action| matches!(action, Action::Unit(_, UnitAction::Create) | Action::Prepare(_));
        assert!(!sim.pending.iter().any(|pending| creates(&pending.action)), "something is made anew");
        sim.routes_to(&old, 2)
    })?;
    sim.settle()?;
    sim.serves_only(&old)
}

#[test]
fn a_release_that_crash_loops_while_it_takes_over_is_rolled_back() -> Law {
    for strategy in [BLUE, RECREATE] {
        let (mut sim, old) = running(Nature::Good, strategy, 1)?;
        sim.deploy(Nature::DiesServing, strategy, 1)?;
        sim.settle()?;
        sim.serves_only(&old)?;
        let last = sim.model.deployment().ok_or("no deployment")?;
        let gone_back = matches!(last.status, DeploymentStatus::RolledBack | DeploymentStatus::Failed);
        assert!(gone_back && last.error.is_some(), "{last:?}");
    }
    Ok(())
}

#[test]
fn a_release_that_crash_loops_on_probation_is_replaced_by_the_one_before() -> Law {
    let (mut sim, old) = running(Nature::Good, BLUE, 1)?;
    let new = sim.deploy(Nature::Good, BLUE, 1)?;
    sim.settle()?;
    sim.serves_only(&new)?;
    sim.advance(Duration::from_secs(30));
    sim.world.natures.insert(new, Nature::DiesServing);
    sim.settle()?;
    sim.serves_only(&old)?;
    sim.ended(DeploymentStatus::RolledBack)?;
    assert_eq!(sim.said(|event| matches!(event, Event::DeployRolledBack { .. })), 1);
    Ok(())
}

#[test]
fn after_its_probation_a_crash_loop_is_no_reason_to_go_back() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 1)?;
    let new = sim.deploy(Nature::Good, BLUE, 1)?;
    sim.settle()?;
    sim.advance(Duration::from_secs(121));
    sim.world.natures.insert(new.clone(), Nature::DiesServing);
    sim.settle()?;
    assert_eq!(sim.model.record().active.as_ref(), Some(&new));
    assert_eq!(sim.model.status().phase, AppPhase::Failed);
    sim.ended(DeploymentStatus::Succeeded).map(|_| ())
}

#[test]
fn a_cancelled_deployment_goes_back() -> Law {
    for strategy in [BLUE, RECREATE] {
        let (mut sim, old) = running(Nature::Good, strategy, 2)?;
        let new = sim.deploy(Nature::Good, strategy, 2)?;
        let unit = sim.unit(&new, 1);
        sim.until("the new unit runs", |sim| sim.world.runs(&unit))?;
        let rollout = sim.model.record().rollout.clone().ok_or("no deployment under way")?;
        sim.wish_for(&Edit::Cancel(rollout.deployment))?;
        sim.settle()?;
        sim.serves_only(&old)?;
        sim.ended(DeploymentStatus::Cancelled)?;
    }
    Ok(())
}

#[test]
fn one_deployment_is_under_way_at_a_time() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    sim.deploy(Nature::Good, BLUE, 1)?;
    let second = sim.new_release(Nature::Good.into(), BLUE, None)?;
    let refused = sim.model.edit(second, sim.world.now());
    assert!(matches!(refused, Err(EditError::Busy(_))), "{refused:?}");
    sim.settle()?;
    let again = sim.old_release(sim.model.record().active.clone().unwrap_or(release), BLUE)?;
    let refused = sim.model.edit(again, sim.world.now());
    assert!(matches!(refused, Err(EditError::ServesAlready(_))), "{refused:?}");
    Ok(())
}

#[test]
fn a_host_port_that_is_taken_fails_the_deployment() -> Law {
    let (mut sim, old) = running(Nature::Good, BLUE, 1)?;
    sim.deploy(Nature::Good, BLUE, 1)?;
    sim.world.port_taken = true;
    sim.until("the fault is seen", |sim| sim.said(|event| matches!(event, Event::DeployFailed { .. })) == 1)?;
    let error = sim.ended(DeploymentStatus::Failed)?.error.ok_or("no error")?;
    assert!(error.what.contains("cannot listen on 127.0.0.1:3000"), "{}", error.what);
    sim.settle()?;
    sim.serves_only(&old)
}

#[test]
fn a_host_port_that_stays_taken_is_said_once_and_tried_at_every_sweep() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 1)?;
    sim.world.port_taken = true;
    sim.kill(0, true, false)?;
    let trouble = |event: &Event| matches!(event, Event::Trouble { .. });
    let routes = |event: &Event| matches!(event, Event::RoutesServing { .. });
    sim.until("the fault is seen", |sim| sim.said(trouble) == 1 && sim.pending.is_empty())?;
    let said = sim.said(routes);
    for _ in 0..3 {
        sim.model.sweep();
        sim.activate()?;
        sim.end(Outcome::Done, |action| matches!(action, Action::Apply(_)))?;
    }
    assert_eq!(sim.said(trouble), 1);
    assert_eq!(sim.said(routes), said, "nothing has changed");
    Ok(())
}

#[test]
fn under_recreate_requests_wait_while_no_version_runs() -> Law {
    let (mut sim, old) = running(Nature::Good, RECREATE, 1)?;
    let new = sim.deploy(Nature::Good, RECREATE, 1)?;
    let (old, new) = (sim.unit(&old, 1), sim.unit(&new, 1));
    sim.until("the old unit has stopped", |sim| !sim.world.runs(&old))?;
    assert!(sim.world.units.contains_key(&new), "what can be done before the gap was done before it");
    let table = sim.world.table.clone().ok_or("the routes are gone")?;
    assert_eq!(table.service.availability, Availability::Serving, "requests are held, not refused");
    assert!(table.units.is_empty());
    sim.settle()?;
    sim.serves_only(new.release())
}

#[test]
fn under_recreate_a_release_that_fails_is_gone_before_the_old_one_comes_back() -> Law {
    for nature in [Nature::NeverReady, Nature::DiesStarting, Nature::Unstartable] {
        let (mut sim, old) = running(Nature::Good, RECREATE, 2)?;
        sim.deploy(nature, RECREATE, 2)?;
        sim.settle()?;
        sim.serves_only(&old)?;
        sim.ended(DeploymentStatus::Failed)?;
    }
    Ok(())
}

#[test]
fn a_stopped_app_has_no_deployment_under_way() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 2)?;
    let new = sim.deploy(Nature::Good, BLUE, 2)?;
    let unit = sim.unit(&new, 1);
    sim.until("the new unit runs", |sim| sim.world.runs(&unit))?;
    sim.wish_for(&Edit::Stop)?;
    sim.settle()?;
    sim.check_goal()?;
    sim.ended(DeploymentStatus::Cancelled)?;
    holds(sim.model.release(&new).is_none(), || "the release that never served is still known".to_owned())
}

#[test]
fn a_deployment_of_a_stopped_app_never_starts_the_release_before() -> Law {
    for strategy in [BLUE, RECREATE] {
        let (mut sim, old) = running(Nature::Good, strategy, 2)?;
        sim.wish_for(&Edit::Stop)?;
        sim.settle()?;
        let new = sim.deploy(Nature::Good, strategy, 2)?;
        let first = sim.unit(&old, 1);
        sim.until("the deployment has ended", |sim| {
            assert!(!sim.does(&first, |action| matches!(action, UnitAction::Start(_))), "{strategy:?}");
            sim.model.record().rollout.is_none()
        })?;
        sim.settle()?;
        sim.serves_only(&new)?;
        assert!(sim.model.record().bake.is_none(), "what was stopped is no release to go back to by itself");
    }
    Ok(())
}

#[test]
fn an_app_that_was_stopped_is_stopped_after_its_deployment_failed() -> Law {
    for strategy in [BLUE, RECREATE] {
        let (mut sim, _) = running(Nature::Good, strategy, 1)?;
        sim.wish_for(&Edit::Stop)?;
        sim.settle()?;
        sim.deploy(Nature::DiesStarting, strategy, 1)?;
        sim.settle()?;
        sim.ended(DeploymentStatus::Failed)?;
        assert_eq!(sim.model.status().phase, AppPhase::Stopped, "{strategy:?}");
        assert_eq!(sim.world.running().count(), 0, "{strategy:?}");
    }
    Ok(())
}

#[test]
fn a_deployment_of_an_app_that_has_not_stopped_yet_waits_for_that() -> Law {
    let (mut sim, _) = running(Nature::Good, RECREATE, 2)?;
    sim.ask(Edit::Stop)?;
    sim.complete(0, Outcome::Fails(PortErrorKind::Transient));
    let deploy = sim.new_release(Nature::Good.into(), RECREATE, None)?;
    sim.ask(deploy)?;
    // The deadline is a day away.
    sim.world.clock_error = -86_400;
    sim.settle()?;
    sim.ended(DeploymentStatus::Succeeded)?;
    sim.check_goal()
}

#[test]
fn an_end_that_was_seen_while_its_unit_became_ready_is_looked_at_again() -> Law {
    let mut sim = Sim::new()?;
    let release = sim.deploy(Nature::Good, StrategyName::BlueGreen, 1)?;
    let unit = sim.unit(&release, 1);
    let waits = |action: &UnitAction| matches!(action, UnitAction::WaitReady { .. });
    sim.until("it is asked whether it is ready", |sim| sim.does(&unit, waits))?;
    let found = sim
        .pending
        .iter()
        .position(|pending| matches!(&pending.action, Action::Unit(_, wait) if waits(wait)));
    sim.take_effect(found.ok_or("nobody asks")?);
    sim.crash(&unit, nd_types::ExitStatus::Code(0))?;
    sim.end(Outcome::Done, |action| matches!(action, Action::Unit(_, wait) if waits(wait)))?;
    let looks = sim.pending.iter().any(|pending| matches!(pending.action, Action::Observe { .. }));
    holds(looks, || format!("nobody looks again: {:?}", sim.pending))
}
