//! Keeping an app as it was asked for: crashes, restarts, more and fewer instances, stopping and removing.

use std::time::Duration;

use nd_core::events::Event;
use nd_core::model::edit::Edit;
use nd_core::model::{Action, AppPhase, UnitAction};
use nd_core::records::RunIntent;
use nd_core::spec::RestartPolicy;
use nd_types::{Availability, ExitStatus, StrategyName};

use crate::laws::{Law, holds};
use crate::recipe::{Nature, Recipe};
use crate::sim::{Outcome, Sim};
use crate::story::running;

const BLUE: StrategyName = StrategyName::BlueGreen;

/// Tells one kind of action from the others.
type Kind = fn(&Action) -> bool;

fn starts(action: &UnitAction) -> bool {
    matches!(action, UnitAction::Start(_))
}

#[test]
fn a_crash_is_answered_in_the_same_activation_whatever_else_is_under_way() -> Law {
    let stages: [(&str, Kind); 4] = [
        ("prepare", |action| matches!(action, Action::Prepare(_))),
        ("wait", |action| matches!(action, Action::Unit(_, UnitAction::WaitReady { .. }))),
        ("routes", |action| matches!(action, Action::Apply(_))),
        ("drain", |action| matches!(action, Action::Unit(_, UnitAction::Drain))),
    ];
    for (stage, under_way) in stages {
        let (mut sim, _) = running(Nature::Good, BLUE, 2)?;
        sim.deploy(Nature::Good, BLUE, 2)?;
        sim.until(stage, |sim| sim.pending.iter().any(|pending| under_way(&pending.action)))?;
        let active = sim.model.record().active.clone().ok_or("nothing serves")?;
        let unit = sim.unit(&active, 2);
        sim.crash(&unit, ExitStatus::Signal(9))?;
        assert!(sim.does(&unit, starts), "{stage}: not started");
        assert!(sim.pending.iter().any(|pending| under_way(&pending.action)), "{stage}: no longer under way");
        sim.settle()?;
        sim.check_goal()?;
    }
    Ok(())
}

#[test]
fn the_second_crash_in_a_row_waits_and_the_daemon_wakes_for_it() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    let unit = sim.unit(&release, 1);
    sim.crash(&unit, ExitStatus::Code(1))?;
    sim.until("it serves again", |sim| sim.serves(&unit))?;
    sim.crash(&unit, ExitStatus::Code(1))?;
    assert!(!sim.does(&unit, starts), "it is started without a pause");
    let pause = sim.wake_at.ok_or("nobody wakes it")?.saturating_since(sim.world.now().mono);
    assert!(pause > Duration::from_millis(370) && pause <= Duration::from_millis(500), "{pause:?}");
    sim.advance(pause);
    sim.activate()?;
    assert!(sim.does(&unit, starts));
    Ok(())
}

#[test]
fn a_daemon_that_has_just_started_calls_nothing_failed_that_it_has_not_looked_at() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 1)?;
    sim.kill(0, true, true)?;
    let status = sim.model.status();
    assert_eq!((status.phase, status.observed), (AppPhase::Degraded, false));
    assert!(status.reason.is_some_and(|reason| reason.contains("just started")));
    Ok(())
}

#[test]
fn a_crash_loop_ends_in_failure_and_one_more_try_after_the_cooldown() -> Law {
    let (mut sim, release) = running(Nature::DiesServing, BLUE, 1)?;
    let unit = sim.unit(&release, 1);
    assert_eq!(sim.model.status().phase, AppPhase::Failed);
    assert_eq!(sim.said(|event| matches!(event, Event::CrashLoop { crashes: 5, .. })), 1);
    let table = sim.world.table.clone().ok_or("the routes are gone")?;
    assert!(matches!(table.service.availability, Availability::Failed { .. }), "requests wait for nothing");
    sim.activate()?;
    let pause = sim.wake_at.ok_or("nobody wakes it")?.saturating_since(sim.world.now().mono);
    assert!(pause > Duration::from_secs(200) && pause <= Duration::from_secs(300), "{pause:?}");
    sim.world.natures.insert(release.clone(), Nature::Good);
    sim.advance(pause);
    sim.activate()?;
    assert!(sim.does(&unit, starts));
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn the_user_need_not_wait_for_the_cooldown() -> Law {
    let (mut sim, release) = running(Nature::DiesServing, BLUE, 1)?;
    sim.world.natures.insert(release.clone(), Nature::Good);
    sim.wish_for(&Edit::Start)?;
    assert!(sim.does(&sim.unit(&release, 1), starts));
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_unit_whose_policy_says_never_stays_down() -> Law {
    let recipe = Recipe { policy: RestartPolicy::Never, ..Nature::Good.into() };
    let (mut sim, release) = running(recipe, BLUE, 1)?;
    let unit = sim.unit(&release, 1);
    sim.crash(&unit, ExitStatus::Code(1))?;
    sim.settle()?;
    assert!(!sim.world.runs(&unit));
    assert_eq!(sim.model.status().phase, AppPhase::Failed);
    sim.wish_for(&Edit::Start)?;
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_unit_that_somebody_removed_is_created_again() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    let unit = sim.unit(&release, 1);
    sim.world.vanish(&unit);
    sim.settle()?;
    sim.serves_only(&release)?;
    assert_eq!(sim.said(|event| matches!(event, Event::UnitVanished)), 1);
    Ok(())
}

#[test]
fn scaling_down_removes_the_newest_instances_after_their_requests() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 3)?;
    sim.world.request(2);
    sim.wish_for(&Edit::Scale(1))?;
    sim.settle()?;
    let left: Vec<u16> = sim.world.units.keys().map(nd_types::UnitId::slot).collect();
    assert_eq!(left, [1]);
    sim.serves_only(&release)
}

#[test]
fn scaling_up_leaves_the_instances_that_serve_alone() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    let before = sim.world.units.get(&sim.unit(&release, 1)).map(|unit| unit.address);
    sim.wish_for(&Edit::Scale(3))?;
    sim.until("all serve", |sim| {
        assert!(!sim.world.routed().is_empty());
        sim.routes_to(&release, 3)
    })?;
    sim.settle()?;
    sim.serves_only(&release)?;
    assert_eq!(sim.world.units.get(&sim.unit(&release, 1)).map(|unit| unit.address), before);
    Ok(())
}

#[test]
fn a_restart_of_two_instances_never_empties_the_table() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    let before: Vec<_> = sim.world.units.values().map(|unit| unit.address).collect();
    sim.wish_for(&Edit::Restart)?;
    sim.until("both were started anew", |sim| {
        assert!(!sim.world.routed().is_empty(), "nobody serves");
        let anew = sim.world.units.values().all(|unit| !before.contains(&unit.address));
        anew && sim.routes_to(&release, 2)
    })?;
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn the_only_instance_is_restarted_while_requests_wait() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    let unit = sim.unit(&release, 1);
    sim.wish_for(&Edit::Restart)?;
    sim.until("it has stopped", |sim| !sim.world.runs(&unit))?;
    let table = sim.world.table.clone().ok_or("the routes are gone")?;
    assert_eq!((table.units.len(), table.service.availability), (0, Availability::Serving));
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_stopped_app_refuses_requests_and_comes_back_when_asked() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    sim.wish_for(&Edit::Stop)?;
    sim.settle()?;
    sim.check_goal()?;
    let table = sim.world.table.clone().ok_or("the routes are gone")?;
    assert_eq!(table.service.availability, Availability::Stopped);
    assert_eq!(sim.model.status().phase, AppPhase::Stopped);
    sim.wish_for(&Edit::Start)?;
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_removed_app_leaves_nothing_but_its_tombstone() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 2)?;
    sim.deploy(Nature::Good, BLUE, 2)?;
    sim.settle()?;
    sim.world.request(0);
    sim.wish_for(&Edit::Remove { force: false })?;
    sim.settle()?;
    sim.check_goal()?;
    let run = sim.world.stored.app.as_ref().map(|app| app.run);
    assert_eq!(run, Some(RunIntent::Removed));
    Ok(())
}

#[test]
fn an_app_that_is_deployed_again_after_its_removal_begins_anew() -> Law {
    for nature in [Nature::Good, Nature::NeverReady] {
        let (mut sim, old) = running(Nature::Good, BLUE, 2)?;
        sim.wish_for(&Edit::Remove { force: false })?;
        let new = sim.deploy(nature, BLUE, 1)?;
        sim.settle()?;
        sim.check_goal()?;
        let active = sim.model.record().active.clone();
        assert_eq!(active, (nature == Nature::Good).then_some(new), "{nature:?}");
        assert!(!sim.world.units.keys().any(|unit| *unit.release() == old), "the removed release is back");
    }
    Ok(())
}

#[test]
fn a_full_disk_refuses_wishes_and_nothing_else() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 1)?;
    sim.world.disk_full = true;
    let accepted = sim.ask(Edit::Stop)?;
    assert!(!accepted, "a wish that cannot be stored was accepted");
    let unit = sim.unit(&release, 1);
    sim.crash(&unit, ExitStatus::OutOfMemory)?;
    assert!(sim.does(&unit, starts));
    sim.until("it serves again", |sim| sim.serves(&unit))?;
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_scale_during_a_deployment_counts_for_the_new_release() -> Law {
    let (mut sim, _) = running(Nature::Good, BLUE, 1)?;
    let new = sim.deploy(Nature::Good, BLUE, 1)?;
    sim.until("the new table is on its way", Sim::applies)?;
    sim.wish_for(&Edit::Scale(3))?;
    sim.settle()?;
    sim.serves_only(&new)?;
    holds(sim.model.record().replicas == 3, || "the wish was forgotten".to_owned())
}

#[test]
fn a_unit_that_comes_down_gets_no_requests_even_when_it_is_wanted_again() -> Law {
    let (mut sim, release) = running(Nature::Good, BLUE, 2)?;
    let unit = sim.unit(&release, 2);
    sim.wish_for(&Edit::Scale(1))?;
    sim.until("it is being stopped", |sim| sim.does(&unit, |action| *action == UnitAction::Stop))?;
    sim.wish_for(&Edit::Scale(2))?;
    assert!(!sim.applies(), "requests are led to a unit that is being stopped");
    sim.end(Outcome::Done, |action| matches!(action, Action::Unit(_, UnitAction::Stop)))?;
    sim.settle()?;
    sim.serves_only(&release)
}

#[test]
fn a_unit_that_somebody_else_removed_is_created_again_unless_its_policy_is_never() -> Law {
    for (policy, comes_back) in [(RestartPolicy::Always, true), (RestartPolicy::Never, false)] {
        let (mut sim, release) = running(Recipe { keep: 0, policy, ..Nature::Good.into() }, BLUE, 1)?;
        let unit = sim.unit(&release, 1);
        sim.world.vanish(&unit);
        sim.model.look_again();
        sim.activate()?;
        sim.settle()?;
        assert_eq!(sim.serves(&unit), comes_back, "{policy:?}");
        if !comes_back {
            assert_eq!(sim.model.status().phase, AppPhase::Failed);
            sim.wish_for(&Edit::Start)?;
            sim.settle()?;
            assert!(sim.serves(&unit), "the user asked for it");
        }
    }
    Ok(())
}
