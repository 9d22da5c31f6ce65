//! Canary: a growing share of the clients gets the new release, for as long as it does well.

use std::time::Duration;

use nd_core::model::edit::{Edit, EditError};
use nd_core::model::{Action, AppPhase};
use nd_core::ports::PortErrorKind;
use nd_core::records::DeploymentStatus;
use nd_types::{ExitStatus, ReleaseId, StrategyName};

use crate::laws::{Law, holds};
use crate::recipe::{Nature, PAUSE};
use crate::sim::{Outcome, Sim};
use crate::story::running;

const CANARY: StrategyName = StrategyName::Canary;

/// How many of a hundred clients get the release.
fn share(sim: &Sim, release: &ReleaseId) -> u8 {
    let split = sim.world.table.as_ref().and_then(|table| table.service.split.as_ref());
    split.filter(|split| split.release == *release).map_or(0, |split| split.percent)
}

/// Two instances of an old release, and a new one that the first clients get.
fn on_trial() -> Result<(Sim, ReleaseId, ReleaseId), String> {
    let (mut sim, old) = running(Nature::Good, CANARY, 2)?;
    sim.world.answer(&old, 1000, 2, 5_000);
    let new = sim.deploy(Nature::Good, CANARY, 2)?;
    sim.until("the first clients get it", |sim| share(sim, &new) == 10 && sim.pending.is_empty())?;
    Ok((sim, old, new))
}

#[test]
fn it_gets_a_growing_share_and_takes_over_in_the_end() -> Law {
    let (mut sim, old, new) = on_trial()?;
    let tried = sim.model.status().canary.ok_or("no trial")?;
    assert_eq!((tried.release, tried.percent, tried.step, tried.steps), (new.clone(), 10, 1, 2));
    let mut since = sim.world.time;
    for percent in [50, 0] {
        let before = if percent == 50 { 10 } else { 50 };
        sim.until("the next step", |sim| {
            let all_of_old = (1..=2).all(|slot| sim.world.routed().contains(&sim.unit(&old, slot)));
            assert!(share(sim, &new) != before || all_of_old, "the old release is not whole");
            share(sim, &new) == percent
        })?;
        assert!(sim.world.time - since >= PAUSE, "after {:?}", sim.world.time - since);
        since = sim.world.time;
    }
    sim.settle()?;
    sim.serves_only(&new)?;
    assert_eq!(sim.model.status().canary, None);
    sim.ended(DeploymentStatus::Succeeded).map(|_| ())
}

#[test]
fn one_whose_answers_fail_is_taken_back_and_nobody_is_without_the_old_release() -> Law {
    let (mut sim, old, new) = on_trial()?;
    sim.world.answer(&new, 100, 30, 5_000);
    sim.until("it is taken back", |sim| {
        let of_old = sim.world.routed().iter().filter(|unit| *unit.release() == old).count();
        assert_eq!(of_old, 2, "the old release is not whole");
        sim.model.record().rollout.is_none()
    })?;
    sim.settle()?;
    sim.serves_only(&old)?;
    let error = sim.ended(DeploymentStatus::Failed)?.error.ok_or("no error")?;
    let expected = "with 10% of clients: 30.0% of 100 requests failed (5xx), 0.0% beside it";
    holds(error.what.ends_with(expected), || error.what.clone())
}

#[test]
fn one_that_is_bad_is_found_out_at_the_end_of_its_step_at_the_latest() -> Law {
    let (mut sim, old, new) = on_trial()?;
    sim.advance(PAUSE);
    sim.world.answer(&new, 100, 0, 2_500_000);
    sim.world.answer(&old, 1000, 0, 5_000);
    sim.until("it is taken back", |sim| {
        assert!(share(sim, &new) <= 10, "more clients get it");
        sim.model.record().rollout.is_none()
    })?;
    sim.settle()?;
    sim.serves_only(&old)
}

#[test]
fn it_does_not_go_on_while_the_counters_cannot_be_read() -> Law {
    let (mut sim, old, new) = on_trial()?;
    for _ in 0..60 {
        sim.advance(Duration::from_secs(1));
        sim.activate()?;
        while let Some(index) = sim.pending.iter().position(|one| matches!(one.action, Action::Measure)) {
            sim.complete(index, Outcome::Fails(PortErrorKind::Timeout));
            sim.activate()?;
        }
        assert!(share(&sim, &new) == 10 || sim.model.status().phase == AppPhase::RollingBack);
        if sim.model.status().phase == AppPhase::RollingBack {
            break;
        }
    }
    sim.settle()?;
    sim.serves_only(&old)
}

#[test]
fn one_that_crashes_is_taken_back() -> Law {
    let (mut sim, old, new) = on_trial()?;
    let first = sim.unit(&new, 1);
    sim.crash(&first, ExitStatus::Code(1))?;
    sim.settle()?;
    sim.serves_only(&old)?;
    sim.ended(DeploymentStatus::Failed).map(|_| ())
}

#[test]
fn the_user_may_promote_it_or_take_it_back() -> Law {
    let (mut sim, _, new) = on_trial()?;
    let id = sim.model.record().rollout.clone().ok_or("no deployment under way")?.deployment;
    let began = sim.world.time;
    sim.wish_for(&Edit::Promote(id.clone()))?;
    sim.until("it serves alone", |sim| sim.routes_to(&new, 2))?;
    assert!(sim.world.time - began < PAUSE);
    sim.settle()?;
    sim.serves_only(&new)?;
    let again = sim.model.edit(Edit::Promote(id), sim.world.now());
    assert!(matches!(again, Err(EditError::NotUnderWay(_))), "{again:?}");

    let (mut sim, old, _) = on_trial()?;
    let id = sim.model.record().rollout.clone().ok_or("no deployment under way")?.deployment;
    sim.wish_for(&Edit::Cancel(id))?;
    sim.settle()?;
    sim.serves_only(&old)?;
    sim.ended(DeploymentStatus::Cancelled).map(|_| ())
}

#[test]
fn nothing_is_promoted_that_is_not_tried() -> Law {
    let (mut sim, _) = running(Nature::Good, StrategyName::BlueGreen, 1)?;
    sim.deploy(Nature::Good, StrategyName::BlueGreen, 1)?;
    let id = sim.model.record().rollout.clone().ok_or("no deployment under way")?.deployment;
    let refused = sim.model.edit(Edit::Promote(id), sim.world.now());
    holds(matches!(refused, Err(EditError::NoCanary(_))), || format!("{refused:?}"))
}

#[test]
fn a_killed_daemon_finds_the_trial_as_it_was_and_no_client_is_sent_back() -> Law {
    let (mut sim, _, new) = on_trial()?;
    sim.advance(PAUSE / 2);
    sim.kill(0, true, true)?;
    sim.until("the next step", |sim| {
        assert!(share(sim, &new) >= 10, "its clients are sent back");
        share(sim, &new) == 50
    })?;
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn where_nothing_serves_there_is_nothing_to_try_it_beside() -> Law {
    let (mut sim, _) = running(Nature::DiesServing, CANARY, 1)?;
    let began = sim.world.time;
    let new = sim.deploy(Nature::Good, CANARY, 1)?;
    sim.until("it serves", |sim| sim.routes_to(&new, 1))?;
    assert!(sim.world.time - began < PAUSE);
    sim.settle()?;
    sim.serves_only(&new)
}

#[test]
fn a_clock_that_is_set_back_makes_a_step_begin_anew_and_not_last_for_a_day() -> Law {
    let (mut sim, _, new) = on_trial()?;
    let began = sim.world.time;
    sim.world.clock_error = -86_400;
    sim.until("the next step", |sim| share(sim, &new) == 50)?;
    holds(sim.world.time - began < PAUSE * 3, || format!("after {:?}", sim.world.time - began))
}
