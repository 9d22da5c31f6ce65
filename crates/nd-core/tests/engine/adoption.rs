//! Daemons that come back, and units they find.

use std::time::Duration;

use futures_util::StreamExt;
use nd_core::events::Event;
use nd_core::model::AppPhase;
use nd_core::ports::{PortErrorKind, Runtime, UnitSpec};
use nd_core::records::DeploymentStatus;
use nd_testkit::fake::{Fault, RuntimeCall};
use nd_types::{Availability, DaemonId, ExitStatus};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_units_running_and_the_next_daemon_takes_them_as_they_are() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    let shop_unit = unit(&shop, &daemon.deploy_as(replicas(2, request(&shop, web("")))).await?.release, 1);
    let blog_unit = unit(&blog, &daemon.serve(&blog, command("")).await?, 1);
    daemon.shut_down().await?;
    assert_eq!((world.docker.running().len(), world.process.running().len()), (2, 1));

    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.settled && status.ready == 2).await?;
    daemon.until(&blog, |status| status.settled && status.ready == 1).await?;
    pass(Duration::from_secs(120)).await;
    assert_eq!((world.docker.starts(&shop_unit), world.process.starts(&blog_unit)), (1, 1));
    assert_eq!(world.docker.count(RuntimeCall::Create), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_the_ingress_serves_of_an_app_stays_until_the_next_daemon_has_looked_at_it() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    daemon.serve(&blog, command("")).await?;
    daemon.kill();
    let before = world.ingress.service(&shop).ok_or("the shop is not served")?;
    world.docker.faults().set(RuntimeCall::Observe, Fault::Fail(PortErrorKind::Unavailable));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&blog, command("")).await?;
    assert_eq!(world.ingress.service(&blog).map(|service| service.release), Some(release));
    assert_eq!(world.ingress.service(&shop), Some(before));

    world.docker.faults().clear(RuntimeCall::Observe);
    let revision = daemon.engine.stop(&shop, "tester").await?;
    daemon.settled(&shop, revision).await?;
    let availability = world.ingress.service(&shop).map(|service| service.availability);
    assert_eq!(availability, Some(Availability::Stopped));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_ended_while_no_daemon_looked_is_started() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    daemon.kill();
    world.docker.crash(&serving, ExitStatus::Code(1));
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
    assert_eq!(world.docker.starts(&serving), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stopped_app_stays_stopped_over_a_restart_of_the_daemon() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let revision = daemon.engine.stop(&shop, "tester").await?;
    daemon.settled(&shop, revision).await?;
    daemon.kill();
    let daemon = world.daemon().await?;
    pass(Duration::from_secs(120)).await;
    assert_eq!(daemon.engine.status(&shop).unwrap().phase, AppPhase::Stopped);
    assert!(world.docker.running().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn apps_that_are_stopped_with_their_daemon_come_back_with_the_next_one() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    assert_eq!(daemon.engine.suspend(PATIENCE).await, []);
    assert!(world.docker.running().is_empty());
    daemon.shut_down().await?;
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.settled && status.ready == 1).await?;
    assert_eq!(world.docker.running(), [serving]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_labelled_unit_that_no_daemon_claims_becomes_an_app() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let found = unit(&shop, &"71e50c".parse()?, 1);
    world.docker.plant(&found, &web(""))?;
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.phase == AppPhase::Running && status.settled).await?;
    assert_eq!((world.docker.starts(&found), world.ingress.backends(&shop)), (1, vec![found.clone()]));
    assert_eq!(daemon.count(|event| matches!(event, Event::UnitAdopted { .. })).await?, 1);

    world.docker.crash(&found, ExitStatus::Code(1));
    within(world.docker.until(|_| world.docker.starts(&found) == 2)).await?;
    let release = daemon.serve(&shop, web("")).await?;
    assert_eq!(world.docker.running(), [unit(&shop, &release, 1)], "it is swapped like any other");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_adopted_unit_is_adopted_once() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    world.docker.plant(&unit(&shop, &"71e50c".parse()?, 1), &web(""))?;
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.settled).await?;
    daemon.shut_down().await?;
    let daemon = world.daemon().await?;
    pass(Duration::from_secs(120)).await;
    assert_eq!(daemon.engine.deployments(Some(&shop)).len(), 1);
    assert_eq!(daemon.engine.deployments(None)[0].status, DeploymentStatus::Succeeded);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stray_unit_of_a_removed_app_is_removed_and_one_of_another_daemon_is_left_alone() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    let revision = daemon.engine.remove(&shop, false, "tester").await?;
    assert_eq!(daemon.engine.settled(&shop, revision, PATIENCE).await?, None);
    daemon.shut_down().await?;

    let daemon = world.daemon().await?;
    let stray = |slot, daemon: DaemonId| UnitSpec {
        id: unit(&shop, serving.release(), slot),
        daemon,
        spec: web("").into(),
        prepared: nd_core::ports::Prepared::default(),
    };
    let foreign = stray(2, "anotherdaemon".parse()?);
    world.docker.create(&stray(1, daemon.engine.daemon().clone())).await?;
    world.docker.create(&foreign).await?;
    within(world.docker.until(|units| units.len() == 1)).await?;
    pass(Duration::from_secs(120)).await;
    assert_eq!(world.docker.units()[0].id, Some(foreign.id));
    assert!(daemon.engine.list().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_unit_of_a_known_app_is_removed() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    let unknown = UnitSpec {
        id: unit(&shop, &"zzzzzz".parse()?, 1),
        daemon: daemon.engine.daemon().clone(),
        spec: web("").into(),
        prepared: nd_core::ports::Prepared::default(),
    };
    world.docker.create(&unknown).await?;
    world.docker.start(&unknown.id).await?;
    within(world.docker.until(|units| units.len() == 1)).await?;
    assert_eq!(world.docker.running(), [serving]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_keeps_its_id_and_the_numbers_of_its_events() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let (id, last) = (daemon.engine.daemon().clone(), daemon.events().await?.last().unwrap().id);
    daemon.shut_down().await?;
    let daemon = world.daemon().await?;
    assert_eq!(*daemon.engine.daemon(), id);
    daemon.serve(&shop, web("")).await?;
    let ids: Vec<u64> = daemon.events().await?.iter().map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b) && ids.last() > Some(&last), "{ids:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn numbers_that_were_told_before_a_crash_are_not_given_again() -> TestResult {
    numbers_go_on_over_a_crash_after(Duration::from_secs(5)).await
}

#[tokio::test(start_paused = true)]
async fn numbers_of_a_first_daemon_that_was_killed_before_it_stored_any_are_not_given_again() -> TestResult {
    numbers_go_on_over_a_crash_after(Duration::ZERO).await
}

async fn numbers_go_on_over_a_crash_after(pause: Duration) -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    pass(pause).await;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:100ms"))).await?;
    let told: Vec<_> =
        within(async { daemon.engine.follow(&accepted.deployment).await.collect().await }).await?;
    let mut last = told.last().map(|event| event.id).unwrap_or_default();
    daemon.kill();
    // One that is killed as early as the one before has stored nothing either.
    for other in ["blog", "wiki"] {
        let daemon = world.daemon().await?;
        let next = daemon.engine.deploy(request(&app(other), web(""))).await?;
        let first = within(async { daemon.engine.follow(&next.deployment).await.next().await }).await?;
        let first = first.map(|first| first.id).unwrap_or_default();
        assert!(first > last, "{first} after {last}");
        last = first;
        daemon.kill();
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_has_just_been_built_knows_its_apps() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let first = daemon.serve(&shop, web("")).await?;
    daemon.kill();
    let daemon = world.daemon().await?;
    assert_eq!(daemon.engine.status(&shop).map(|status| status.release.clone()), Some(Some(first.clone())));
    let second = daemon.serve(&shop, web("")).await?;
    assert_eq!(daemon.engine.status(&shop).unwrap().kept, [first]);
    assert_eq!(world.docker.running(), [unit(&shop, &second, 1)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_removal_goes_on_with_the_next_daemon() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for _ in 0..2 {
        daemon.deploy_as(replicas(2, request(&shop, web("stop-takes:5s")))).await?;
    }
    daemon.engine.remove(&shop, false, "tester").await?;
    pass(Duration::from_secs(1)).await;
    daemon.kill();
    let daemon = world.daemon().await?;
    within(world.docker.until(<[_]>::is_empty)).await?;
    assert!(daemon.engine.list().is_empty());
    daemon.serve(&shop, web("")).await?;
    Ok(())
}
