//! A mirror stands by, serves from the first failure on, and gives way when what failed is well again.

use std::time::Duration;

use nd_core::events::Event;
use nd_core::model::edit::Edit;
use nd_core::model::{Action, UnitAction};
use nd_types::{ExitStatus, ReleaseId, StrategyName, UnitId};

use crate::laws::{Law, holds};
use crate::recipe::{Nature, Recipe};
use crate::sim::{Outcome, Sim};
use crate::story::running;

/// As long as a unit that has failed stays stopped.
const COOLDOWN: Duration = Duration::from_secs(30);

fn mirrored() -> Recipe {
    Recipe { mirror: true, ..Nature::Good.into() }
}

/// An app with its mirror; the unit that serves, and the mirror.
fn with_mirror(strategy: StrategyName) -> Result<(Sim, UnitId, UnitId), String> {
    let (sim, release) = running(mirrored(), strategy, 1)?;
    let (main, mirror) = (sim.unit(&release, 1), sim.unit(&release, 2));
    stands_by(&sim, &main, &mirror)?;
    Ok((sim, main, mirror))
}

/// That the one serves and the other one is ready to.
fn stands_by(sim: &Sim, main: &UnitId, mirror: &UnitId) -> Law {
    sim.check_goal()?;
    let status = sim.model.status().mirror.ok_or("no mirror")?;
    holds(status.unit == *mirror && status.ready && !status.serves && status.since.is_none(), || {
        format!("{status:?}")
    })?;
    let routed = sim.world.routed();
    holds(routed.len() == 1 && routed.contains(main) && sim.world.runs(mirror), || format!("{routed:?}"))
}

fn serves(sim: &Sim, unit: &UnitId) -> bool {
    sim.world.routed().iter().eq([unit])
}

/// The unit fails its next check.
fn fall_ill(sim: &mut Sim, unit: &UnitId) -> Law {
    sim.world.ill.insert(unit.clone());
    for _ in 0..30 {
        sim.advance(Duration::from_secs(1));
        sim.activate()?;
        let asks = |action: &Action| matches!(action, Action::Check { unit: asked, .. } if asked == unit);
        if sim.pending.iter().any(|pending| asks(&pending.action)) {
            return sim.end(Outcome::Done, asks);
        }
    }
    Err("nobody asks it".to_owned())
}

#[test]
fn the_first_failed_check_moves_the_traffic_and_what_failed_is_fenced_before_it_comes_back() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::BlueGreen)?;
    fall_ill(&mut sim, &main)?;
    let failed_at = sim.world.time;
    sim.until("the mirror serves", |sim| serves(sim, &mirror))?;
    assert_eq!(sim.said(|event| matches!(event, Event::FailedOver { from } if *from == main)), 1);
    sim.until("it is stopped", |sim| !sim.world.runs(&main))?;
    sim.until("it is tried again", |sim| {
        assert!(serves(sim, &mirror), "somebody must serve");
        sim.does(&main, |action| matches!(action, UnitAction::Start(_)))
    })?;
    let after = sim.world.time - failed_at;
    assert!(after >= COOLDOWN && after < COOLDOWN * 2, "{after:?}");
    sim.settle()?;
    assert_eq!(sim.said(|event| matches!(event, Event::FailedBack)), 1);
    stands_by(&sim, &main, &mirror)
}

#[test]
fn a_crash_moves_the_traffic_at_once_and_waits_for_the_cooldown() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::Recreate)?;
    sim.crash(&main, ExitStatus::Signal(9))?;
    let applies =
        |action: &Action| matches!(action, Action::Apply(routes) if routes.units == [mirror.clone()]);
    assert!(sim.pending.iter().any(|pending| applies(&pending.action)), "{:?}", sim.pending);
    assert!(!sim.does(&main, |_| true));
    let crashed_at = sim.world.time;
    sim.until("it is tried again", |sim| sim.does(&main, |action| matches!(action, UnitAction::Start(_))))?;
    assert!(sim.world.time - crashed_at >= COOLDOWN);
    sim.settle()?;
    stands_by(&sim, &main, &mirror)
}

#[test]
fn where_the_mirror_fails_too_nobody_waits_for_a_cooldown() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::BlueGreen)?;
    sim.crash(&main, ExitStatus::Signal(9))?;
    sim.until("the mirror serves", |sim| serves(sim, &mirror) && sim.pending.is_empty())?;
    sim.crash(&mirror, ExitStatus::Signal(9))?;
    assert!(sim.does(&main, |action| matches!(action, UnitAction::Start(_))));
    sim.settle()?;
    stands_by(&sim, &main, &mirror)
}

#[test]
fn a_mirror_that_fails_while_it_stands_by_is_started_again_unnoticed() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::BlueGreen)?;
    sim.crash(&mirror, ExitStatus::Code(1))?;
    assert!(serves(&sim, &main) && sim.does(&mirror, |action| matches!(action, UnitAction::Start(_))));
    sim.settle()?;
    assert_eq!(sim.said(|event| matches!(event, Event::FailedOver { .. })), 0);
    stands_by(&sim, &main, &mirror)
}

#[test]
fn a_killed_daemon_keeps_to_the_cooldown() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::BlueGreen)?;
    fall_ill(&mut sim, &main)?;
    let failed_at = sim.world.time;
    sim.until("it is stopped", |sim| !sim.world.runs(&main) && sim.pending.is_empty())?;
    sim.kill(0, true, true)?;
    sim.until("the mirror serves", |sim| serves(sim, &mirror) && sim.serves(&mirror))?;
    sim.until("it is tried again", |sim| sim.does(&main, |action| matches!(action, UnitAction::Start(_))))?;
    assert!(sim.world.time - failed_at >= COOLDOWN, "{:?}", sim.world.time - failed_at);
    sim.settle()?;
    stands_by(&sim, &main, &mirror)
}

#[test]
fn every_release_has_its_own_mirror() -> Law {
    for strategy in
        [StrategyName::BlueGreen, StrategyName::Rolling, StrategyName::Recreate, StrategyName::Canary]
    {
        let (mut sim, main, mirror) = with_mirror(strategy)?;
        let new: ReleaseId = sim.deploy(mirrored(), strategy, 1)?;
        sim.settle()?;
        stands_by(&sim, &sim.unit(&new, 1), &sim.unit(&new, 2))?;
        assert!(!sim.world.runs(&main) && !sim.world.runs(&mirror), "{strategy}");
        assert_eq!(sim.said(|event| matches!(event, Event::FailedOver { .. })), 0, "{strategy}");
        sim.deploy(Nature::Good, strategy, 1)?;
        sim.settle()?;
        assert_eq!((sim.model.status().mirror, sim.world.running().count()), (None, 1));
    }
    Ok(())
}

#[test]
fn with_a_mirror_a_reload_leaves_no_gap_even_where_only_one_version_may_run() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::Recreate)?;
    sim.wish_for(&Edit::Reload)?;
    sim.until("both are started anew", |sim| {
        assert!(!sim.world.routed().is_empty(), "nobody serves");
        sim.model.status().settled && sim.pending.is_empty()
    })?;
    assert_eq!(sim.said(|event| matches!(event, Event::FailedOver { .. })), 0);
    for unit in [&main, &mirror] {
        let restarts = sim.model.units().get(unit).map_or(0, |unit| unit.restarts);
        assert_eq!(restarts, 1, "{unit}");
    }
    stands_by(&sim, &main, &mirror)
}

#[test]
fn a_mirror_follows_a_change_of_scale() -> Law {
    let (mut sim, main, _) = with_mirror(StrategyName::BlueGreen)?;
    sim.wish_for(&Edit::Scale(2))?;
    sim.settle()?;
    let status = sim.model.status().mirror.ok_or("no mirror")?;
    assert_eq!((status.unit.slot(), status.ready, status.serves), (3, true, false));
    assert_eq!(sim.world.routed().len(), 2);
    sim.wish_for(&Edit::Scale(1))?;
    sim.settle()?;
    let mirror = sim.unit(main.release(), 2);
    stands_by(&sim, &main, &mirror)
}

#[test]
fn a_clock_that_is_set_back_makes_no_cooldown_last_for_a_day() -> Law {
    let (mut sim, main, mirror) = with_mirror(StrategyName::BlueGreen)?;
    sim.crash(&main, ExitStatus::Signal(9))?;
    let crashed_at = sim.world.time;
    sim.world.clock_error = -86_400;
    sim.until("it is tried again", |sim| sim.does(&main, |action| matches!(action, UnitAction::Start(_))))?;
    assert!(sim.world.time - crashed_at < COOLDOWN * 3, "{:?}", sim.world.time - crashed_at);
    sim.settle()?;
    stands_by(&sim, &main, &mirror)
}
