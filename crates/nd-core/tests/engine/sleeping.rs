//! Apps that sleep while nobody asks for them.

use std::time::Duration;

use nd_core::events::Event;
use nd_core::model::AppPhase;
use nd_core::ports::AppTraffic;
use nd_core::records::RunIntent;
use nd_core::spec::AppSpec;
use nd_types::Availability;

use crate::world::*;

/// An app that sleeps after a minute without a request.
fn sleeper() -> AppSpec {
    AppSpec { sleep_after: Some(Duration::from_secs(60)), ..web("") }
}

fn asked(requests: u64, in_flight: u64) -> AppTraffic {
    AppTraffic { requests, in_flight, ..AppTraffic::default() }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_nobody_asks_for_sleeps_and_the_next_request_wakes_it() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&shop, sleeper()).await?;
    pass(Duration::from_secs(180)).await;
    let status = daemon.until(&shop, |status| status.phase == AppPhase::Sleeping && status.settled).await?;
    assert_eq!((status.run, status.ready), (RunIntent::Running, 0));
    let reason = status.reason.clone().unwrap_or_default();
    assert!(reason.contains("no request for 1m") && reason.contains("wakes it"), "{reason}");
    assert_eq!(world.ingress.availability(&shop), Some(Availability::Sleeping));
    assert!(world.docker.running().is_empty());

    world.ingress.knock(&shop);
    let status = daemon.until(&shop, |status| status.phase == AppPhase::Running && status.settled).await?;
    assert_eq!(status.ready, 1);
    assert_eq!(world.docker.running(), vec![unit(&shop, &release, 1)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whoever_is_in_flight_or_has_just_asked_keeps_it_awake() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, sleeper()).await?;
    world.ingress.set_traffic(&shop, asked(1, 1));
    pass(Duration::from_secs(600)).await;
    assert_eq!(daemon.engine.status(&shop).map(|status| status.phase), Some(AppPhase::Running));
    for requests in 2..12 {
        world.ingress.set_traffic(&shop, asked(requests, 0));
        pass(Duration::from_secs(30)).await;
    }
    assert_eq!(daemon.engine.status(&shop).map(|status| status.phase), Some(AppPhase::Running));
    pass(Duration::from_secs(120)).await;
    daemon.until(&shop, |status| status.phase == AppPhase::Sleeping).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_start_wakes_it_and_so_does_a_deployment() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, sleeper()).await?;
    pass(Duration::from_secs(180)).await;
    daemon.until(&shop, |status| status.phase == AppPhase::Sleeping && status.settled).await?;
    let revision = daemon.engine.start(&shop, "tester").await?;
    assert_eq!(daemon.settled(&shop, revision).await?.phase, AppPhase::Running);

    pass(Duration::from_secs(400)).await;
    daemon.until(&shop, |status| status.phase == AppPhase::Sleeping && status.settled).await?;
    let next = daemon.serve(&shop, AppSpec { env: [("A".into(), "b".into())].into(), ..sleeper() }).await?;
    daemon.until(&shop, |status| status.phase == AppPhase::Running && status.settled).await?;
    assert_eq!(world.docker.running(), vec![unit(&shop, &next, 1)]);
    let slept = |event: &Event| matches!(event, Event::AppChanged { change } if change.starts_with("sleep"));
    assert_eq!(daemon.count(slept).await?, 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn it_sleeps_on_when_the_daemon_begins_anew_and_is_still_woken() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, sleeper()).await?;
    pass(Duration::from_secs(180)).await;
    daemon.until(&shop, |status| status.phase == AppPhase::Sleeping && status.settled).await?;
    daemon.shut_down().await?;
    let daemon = world.daemon().await?;
    pass(Duration::from_secs(60)).await;
    daemon.until(&shop, |status| status.phase == AppPhase::Sleeping && status.settled).await?;
    assert!(world.docker.running().is_empty());
    world.ingress.knock(&shop);
    daemon.until(&shop, |status| status.phase == AppPhase::Running && status.settled).await?;
    Ok(())
}
