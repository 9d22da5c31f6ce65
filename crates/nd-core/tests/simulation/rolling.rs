//! Rolling: both releases serve while one instance after the other is replaced.

use std::time::Duration;

use nd_core::model::UnitAction;
use nd_core::model::edit::Edit;
use nd_core::records::DeploymentStatus;
use nd_types::{ExitStatus, ReleaseId, StrategyName};

use crate::laws::{Law, holds};
use crate::recipe::Nature;
use crate::sim::Sim;
use crate::story::running;

const ROLLING: StrategyName = StrategyName::Rolling;

fn routed_of(sim: &Sim, release: &ReleaseId) -> usize {
    sim.world.routed().iter().filter(|unit| unit.release() == release).count()
}

/// Three instances, of which one has been replaced.
fn half_way() -> Result<(Sim, ReleaseId, ReleaseId), String> {
    let (mut sim, old) = running(Nature::Good, ROLLING, 3)?;
    let new = sim.deploy(Nature::Good, ROLLING, 3)?;
    let first = sim.unit(&old, 1);
    sim.until("the first one is replaced", |sim| routed_of(sim, &new) == 1 && !sim.world.runs(&first))?;
    Ok((sim, old, new))
}

#[test]
fn one_instance_after_the_other_is_replaced_and_as_many_as_before_serve_all_the_time() -> Law {
    let (mut sim, old) = running(Nature::Good, ROLLING, 3)?;
    let new = sim.deploy(Nature::Good, ROLLING, 3)?;
    for shares in [(2, 1), (1, 2), (0, 3)] {
        sim.until("one more is replaced", |sim| {
            assert!(sim.world.routed().len() >= 3, "{:?}", sim.world.routed());
            assert!(sim.world.running().count() <= 4, "more than one instance beyond what it should have");
            (routed_of(sim, &old), routed_of(sim, &new)) == shares
        })?;
    }
    sim.settle()?;
    sim.serves_only(&new)?;
    sim.ended(DeploymentStatus::Succeeded).map(|_| ())
}

#[test]
fn an_old_instance_that_crashes_during_the_roll_is_started_again() -> Law {
    let (mut sim, old, new) = half_way()?;
    let third = sim.unit(&old, 3);
    sim.crash(&third, ExitStatus::Signal(9))?;
    assert!(sim.does(&third, |action| matches!(action, UnitAction::Start(_))));
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn a_new_instance_that_crashes_during_the_roll_brings_every_old_one_back() -> Law {
    let (mut sim, old, new) = half_way()?;
    let first = sim.unit(&new, 1);
    sim.crash(&first, ExitStatus::Code(1))?;
    sim.settle()?;
    sim.serves_only(&old)?;
    let error = sim.ended(DeploymentStatus::Failed)?.error.ok_or("no error")?;
    assert!(error.what.contains("while its release took over"), "{}", error.what);
    Ok(())
}

#[test]
fn a_new_instance_that_fails_its_checks_during_the_roll_brings_every_old_one_back() -> Law {
    let (mut sim, old, new) = half_way()?;
    // The second one never becomes ready, so that the roll stands still.
    sim.world.natures.insert(new.clone(), Nature::NeverReady);
    let first = sim.unit(&new, 1);
    sim.world.ill.insert(first);
    for _ in 0..400 {
        if sim.model.record().rollout.is_none() {
            break;
        }
        sim.advance(Duration::from_secs(1));
        let check = |pending: &crate::sim::Pending| {
            matches!(pending.action, nd_core::model::Action::Check { .. } | nd_core::model::Action::Apply(_))
        };
        match sim.pending.iter().position(check) {
            Some(index) => sim.complete(index, crate::sim::Outcome::Done),
            None if sim.model.status().phase == nd_core::model::AppPhase::RollingBack => {
                sim.complete(0, crate::sim::Outcome::Done);
            }
            None => {}
        }
        sim.activate()?;
    }
    sim.settle()?;
    sim.serves_only(&old)?;
    let error = sim.ended(DeploymentStatus::Failed)?.error.ok_or("no error")?;
    holds(error.what.contains("fails its health checks"), || error.what.clone())
}

#[test]
fn a_roll_that_is_cancelled_goes_back() -> Law {
    let (mut sim, old, _) = half_way()?;
    let rollout = sim.model.record().rollout.clone().ok_or("no deployment under way")?;
    sim.wish_for(&Edit::Cancel(rollout.deployment))?;
    sim.settle()?;
    sim.serves_only(&old)?;
    sim.ended(DeploymentStatus::Cancelled).map(|_| ())
}

#[test]
fn a_roll_goes_on_where_it_was_after_the_daemon_was_killed() -> Law {
    let (mut sim, old, new) = half_way()?;
    sim.kill(0, true, true)?;
    let first = sim.unit(&old, 1);
    sim.until("the deployment has ended", |sim| {
        assert!(!sim.does(&first, |action| matches!(action, UnitAction::Start(_))), "it has been replaced");
        sim.model.record().rollout.is_none()
    })?;
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn a_roll_follows_a_change_of_scale() -> Law {
    for replicas in [1, 2, 5] {
        let (mut sim, _, new) = half_way()?;
        sim.wish_for(&Edit::Scale(replicas))?;
        sim.settle()?;
        sim.serves_only(&new)?;
    }
    Ok(())
}
