//! What became of requests: every deployment has its receipt, and a release that answers badly does not stay.

use std::time::Duration;

use nd_core::events::Event;
use nd_core::model::Action;
use nd_core::ports::PortErrorKind;
use nd_core::records::{DeploymentStatus, Receipt};
use nd_types::{ReleaseId, StrategyName};

use crate::laws::Law;
use crate::recipe::Nature;
use crate::sim::{Outcome, Sim};
use crate::story::running;

const ALL: [StrategyName; 4] =
    [StrategyName::BlueGreen, StrategyName::Recreate, StrategyName::Rolling, StrategyName::Canary];

/// A release that has replaced another one, which answered a thousand requests well.
fn replaced(strategy: StrategyName) -> Result<(Sim, ReleaseId, ReleaseId), String> {
    let (mut sim, old) = running(Nature::Good, strategy, 2)?;
    sim.world.answer(&old, 1000, 2, 5_000);
    let new = sim.deploy(Nature::Good, strategy, 2)?;
    sim.until("the deployment has ended", |sim| sim.model.record().rollout.is_none())?;
    Ok((sim, old, new))
}

/// Lets the probation go on for so long.
fn bake(sim: &mut Sim, time: Duration) -> Law {
    let end = sim.world.time + time;
    while sim.world.time < end {
        sim.advance(Duration::from_secs(1));
        sim.activate()?;
        while let Some(index) = sim.pending.iter().position(|one| matches!(one.action, Action::Measure)) {
            sim.complete(index, Outcome::Done);
            sim.activate()?;
        }
    }
    Ok(())
}

#[test]
fn a_receipt_counts_what_happened_during_the_swap_alone() -> Law {
    for strategy in ALL {
        let (mut sim, old) = running(Nature::Good, strategy, 2)?;
        sim.world.answer(&old, 1000, 2, 5_000);
        let new = sim.deploy(Nature::Good, strategy, 2)?;
        sim.until("the new release serves", |sim| sim.routes_to(&new, 2))?;
        sim.world.answer(&new, 10, 1, 5_000);
        sim.world.traffic.held += 4;
        sim.world.traffic.retried += 3;
        sim.settle()?;
        let receipt = sim.ended(DeploymentStatus::Succeeded)?.receipt.ok_or("no receipt")?;
        assert_eq!(receipt, Receipt { served: 9, held: 4, retried: 3, failed: 1, cut: 0 }, "{strategy}");
    }
    Ok(())
}

#[test]
fn a_first_deployment_has_no_receipt() -> Law {
    let (sim, _) = running(Nature::Good, StrategyName::BlueGreen, 1)?;
    assert_eq!(sim.ended(DeploymentStatus::Succeeded)?.receipt, None);
    Ok(())
}

#[test]
fn a_receipt_survives_a_kill_in_the_middle() -> Law {
    let (mut sim, old) = running(Nature::Good, StrategyName::BlueGreen, 2)?;
    sim.world.answer(&old, 1000, 2, 5_000);
    let new = sim.deploy(Nature::Good, StrategyName::BlueGreen, 2)?;
    sim.until("the new release serves", |sim| sim.routes_to(&new, 2))?;
    sim.world.answer(&new, 7, 0, 5_000);
    sim.kill(0, true, true)?;
    sim.settle()?;
    let created = sim.ended(DeploymentStatus::Succeeded)?;
    let whole = created.finished_at.ok_or("no end")?.duration_since(created.created_at);
    let is_receipt = |event: &Event| matches!(event, Event::DeployStep(step) if step.step == "receipt");
    let within = |event: &Event| matches!(event, Event::DeployStep(step) if step.step == "receipt" && i128::from(step.ms) <= whole.as_millis());
    assert_eq!(
        (sim.said(is_receipt), sim.said(within)),
        (1, 1),
        "its time is that of the deployment at most"
    );
    let receipt = sim.ended(DeploymentStatus::Succeeded)?.receipt.ok_or("no receipt")?;
    assert_eq!(receipt, Receipt { served: 7, ..Receipt::default() });
    Ok(())
}

#[test]
fn a_deployment_ends_although_the_counters_cannot_be_read() -> Law {
    let (mut sim, _) = running(Nature::Good, StrategyName::BlueGreen, 1)?;
    let new = sim.deploy(Nature::Good, StrategyName::BlueGreen, 1)?;
    for _ in 0..100 {
        match sim.pending.iter().position(|one| matches!(one.action, Action::Measure)) {
            Some(index) => sim.complete(index, Outcome::Fails(PortErrorKind::Timeout)),
            None => sim.complete(0, Outcome::Done),
        }
        sim.advance(Duration::from_millis(1));
        sim.activate()?;
    }
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn a_release_whose_answers_fail_on_probation_is_replaced_by_the_one_before() -> Law {
    for strategy in ALL {
        let (mut sim, old, new) = replaced(strategy)?;
        bake(&mut sim, Duration::from_secs(20))?;
        sim.world.answer(&new, 100, 30, 5_000);
        sim.settle()?;
        sim.serves_only(&old)?;
        let error = sim.ended(DeploymentStatus::RolledBack)?.error.ok_or("no error")?;
        assert!(error.what.starts_with("30.0% of 100 requests failed (5xx)"), "{}", error.what);
        assert_eq!(sim.said(|event| matches!(event, Event::DeployRolledBack { .. })), 1);
    }
    Ok(())
}

#[test]
fn a_release_that_is_much_slower_on_probation_is_replaced_by_the_one_before() -> Law {
    let (mut sim, old, new) = replaced(StrategyName::BlueGreen)?;
    sim.world.answer(&new, 100, 0, 2_500_000);
    bake(&mut sim, Duration::from_secs(10))?;
    sim.settle()?;
    sim.serves_only(&old)
}

#[test]
fn a_release_that_answers_as_the_one_before_stays() -> Law {
    let (mut sim, _, new) = replaced(StrategyName::BlueGreen)?;
    for _ in 0..12 {
        sim.world.answer(&new, 500, 1, 5_000);
        bake(&mut sim, Duration::from_secs(10))?;
    }
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn after_the_probation_nobody_looks_any_more() -> Law {
    let (mut sim, _, new) = replaced(StrategyName::BlueGreen)?;
    bake(&mut sim, Duration::from_secs(125))?;
    sim.world.answer(&new, 100, 100, 5_000);
    bake(&mut sim, Duration::from_secs(30))?;
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn a_probation_is_judged_after_the_daemon_was_killed_too() -> Law {
    let (mut sim, old, new) = replaced(StrategyName::BlueGreen)?;
    sim.kill(0, true, true)?;
    sim.settle()?;
    sim.world.answer(&new, 100, 30, 5_000);
    bake(&mut sim, Duration::from_secs(10))?;
    sim.settle()?;
    sim.serves_only(&old)
}
