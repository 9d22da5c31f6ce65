//! Start, stop, restart, scale and remove.

use std::time::Duration;

use nd_core::engine::{DeployRequest, EngineError};
use nd_core::events::Event;
use nd_core::model::AppPhase;
use nd_core::model::edit::EditError;
use nd_testkit::fake::RuntimeCall;
use nd_types::{Availability, Gate, UnitId};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn scaling_adds_instances_and_takes_the_newest_away() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&shop, web("")).await?;
    let units = |count: u16| (1..=count).map(|slot| unit(&shop, &release, slot)).collect::<Vec<UnitId>>();
    for count in [3, 2, 5, 1] {
        let revision = daemon.engine.scale(&shop, count, "tester").await?;
        let status = daemon.settled(&shop, revision).await?;
        assert_eq!((status.ready, status.replicas), (count, count));
        assert_eq!((world.docker.running(), world.ingress.backends(&shop)), (units(count), units(count)));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_scaled_down_instance_finishes_its_requests_first() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let ended = daemon.deploy_as(replicas(2, request(&shop, web("")))).await?;
    let leaving = unit(&shop, &ended.release, 2);
    world.ingress.set_in_flight(&leaving, 1);
    let revision = daemon.engine.scale(&shop, 1, "tester").await?;
    within(world.ingress.until(|_| world.ingress.backends(&shop).len() == 1)).await?;
    pass(Duration::from_secs(10)).await;
    assert!(world.docker.running().contains(&leaving));
    world.ingress.set_in_flight(&leaving, 0);
    daemon.settled(&shop, revision).await?;
    assert!(!world.docker.running().contains(&leaving));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_one_instance_after_the_other() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let ended = daemon.deploy_as(replicas(3, request(&shop, web("ready-after:1s")))).await?;
    pass(Duration::from_secs(60)).await;
    let tables = world.ingress.history().len();
    let revision = daemon.engine.restart(&shop, "tester").await?;
    let status = daemon.settled(&shop, revision).await?;
    assert_eq!((status.phase, status.ready), (AppPhase::Running, 3));
    for slot in 1..=3 {
        assert_eq!(world.docker.starts(&unit(&shop, &ended.release, slot)), 2);
    }
    let during = world.ingress.history().split_off(tables);
    let backends: Vec<usize> = during.iter().map(|table| table.services[0].backends.len()).collect();
    assert!(backends.iter().all(|count| *count >= 2), "{backends:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stopped_app_stays_stopped_until_it_is_started() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let revision = daemon.engine.stop(&shop, "tester").await?;
    assert_eq!(daemon.settled(&shop, revision).await?.phase, AppPhase::Stopped);
    assert_eq!(world.ingress.availability(&shop), Some(Availability::Stopped));
    pass(Duration::from_secs(600)).await;
    assert!(world.docker.running().is_empty());
    let revision = daemon.engine.start(&shop, "tester").await?;
    assert_eq!(daemon.settled(&shop, revision).await?.phase, AppPhase::Running);
    assert_eq!(world.docker.count(RuntimeCall::Create), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn maintenance_outlives_the_daemon_and_the_next_release() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let gate = Gate::Maintenance { retry_after_s: 60 };
    let revision = daemon.engine.set_gate(&shop, gate, "tester").await?;
    let status = daemon.settled(&shop, revision).await?;
    assert_eq!((status.phase, status.reason.as_deref()), (AppPhase::Running, Some("under maintenance")));
    let served = || world.ingress.service(&shop).map(|service| (service.gate, service.backends.len()));
    assert_eq!(served(), Some((gate, 1)));
    daemon.kill();
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("ready-after:1s")).await?;
    assert_eq!(served(), Some((gate, 1)));
    let revision = daemon.engine.set_gate(&shop, Gate::Open, "tester").await?;
    daemon.settled(&shop, revision).await?;
    assert_eq!(served(), Some((Gate::Open, 1)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ignores_its_stop_signal_is_killed_after_its_grace() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("ignores-stop")).await?;
    let begin = tokio::time::Instant::now();
    let revision = daemon.engine.stop(&shop, "tester").await?;
    daemon.settled(&shop, revision).await?;
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(daemon.count(|event| matches!(event, Event::UnitStopped { killed: true, .. })).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_removed_app_leaves_nothing_and_its_name_is_free_again() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for _ in 0..3 {
        daemon.serve(&shop, web("")).await?;
    }
    let revision = daemon.engine.remove(&shop, false, "tester").await?;
    assert_eq!(daemon.engine.settled(&shop, revision, PATIENCE).await?, None);
    assert!(world.docker.units().is_empty() && world.ingress.service(&shop).is_none());
    assert!(daemon.engine.status(&shop).is_none() && daemon.engine.list().is_empty());
    daemon.serve(&shop, web("")).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_protected_app_is_removed_by_force_or_when_a_deployment_lifts_that() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let protect = |protected| DeployRequest { protected, ..request(&shop, web("")) };
    for (protected, kept) in [(Some(true), true), (None, true), (Some(false), false), (Some(true), true)] {
        let accepted = daemon.engine.deploy(protect(protected)).await?;
        daemon.settled(&shop, accepted.revision).await?;
        assert_eq!(daemon.engine.status(&shop).unwrap().protected, kept, "{protected:?}");
    }
    let refused = refusal(daemon.engine.remove(&shop, false, "tester").await);
    assert!(matches!(refused, EngineError::Edit(EditError::Protected)), "{refused}");
    let revision = daemon.engine.remove(&shop, true, "tester").await?;
    assert_eq!(daemon.engine.settled(&shop, revision, PATIENCE).await?, None);
    daemon.serve(&shop, web("")).await?;
    daemon.engine.remove(&shop, false, "tester").await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_an_unknown_app_is_refused() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for refused in [
        daemon.engine.start(&shop, "tester").await,
        daemon.engine.scale(&shop, 2, "tester").await,
        daemon.engine.remove(&shop, false, "tester").await,
    ] {
        assert!(matches!(refusal(refused), EngineError::UnknownApp(name) if name == shop));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_only_deployment_failed_has_nothing_to_start() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.deploy(&shop, web("exit:1")).await?;
    let refused = refusal(daemon.engine.start(&shop, "tester").await);
    assert!(matches!(refused, EngineError::Edit(EditError::NothingToRun)), "{refused}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_deployment_ends_it_and_everything_else() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:30s"))).await?;
    within(world.docker.until(|_| world.docker.running().len() == 2)).await?;
    let revision = daemon.engine.stop(&shop, "tester").await?;
    assert_eq!(daemon.settled(&shop, revision).await?.phase, AppPhase::Stopped);
    assert!(world.docker.running().is_empty());
    let ended = daemon.engine.deployment(&accepted.deployment).unwrap();
    assert_eq!(ended.status, nd_core::records::DeploymentStatus::Cancelled);
    Ok(())
}
