//! Following a deployment.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use nd_core::events::{Event, StoredEvent};
use nd_core::records::DeploymentStatus;
use nd_types::DeploymentId;

use crate::world::*;

/// Everything there is to follow, which must come to an end.
async fn follow(daemon: &Daemon, id: &DeploymentId) -> TestResult<Vec<Arc<StoredEvent>>> {
    let events: Vec<_> = within(async { daemon.engine.follow(id).await.collect().await }).await?;
    let ids: Vec<u64> = events.iter().map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert!(events.iter().all(|event| event.deployment.as_ref() == Some(id)));
    Ok(events)
}

fn is_whole(events: &[Arc<StoredEvent>]) -> bool {
    let first = events.first().is_some_and(|event| matches!(event.what, Event::DeployStarted { .. }));
    let ends = |event: &Event| matches!(event, Event::DeploySucceeded { .. } | Event::DeployFailed { .. });
    first
        && events.iter().filter(|event| ends(&event.what)).count() == 1
        && ends(&events[events.len() - 1].what)
}

#[tokio::test(start_paused = true)]
async fn who_follows_early_late_or_after_the_end_sees_the_same() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for script in ["ready-after:5s", "ready-after:5s;dies-after:3s"] {
        let accepted = daemon.engine.deploy(request(&shop, web(script))).await?;
        let late = async {
            pass(Duration::from_secs(2)).await;
            follow(&daemon, &accepted.deployment).await
        };
        let (early, late) = tokio::join!(follow(&daemon, &accepted.deployment), late);
        let (early, late) = (early?, late?);
        assert!(is_whole(&early), "{early:?}");
        assert_eq!(early, late);
        assert_eq!(early, follow(&daemon, &accepted.deployment).await?);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_can_be_followed_over_a_restart_of_the_daemon() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:20s"))).await?;
    pass(Duration::from_secs(5)).await;
    daemon.kill();
    let daemon = world.daemon().await?;
    let events = follow(&daemon, &accepted.deployment).await?;
    assert!(is_whole(&events), "{events:?}");
    daemon.shut_down().await?;
    let daemon = world.daemon().await?;
    assert_eq!(follow(&daemon, &accepted.deployment).await?, events);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_unknown_deployment_has_nothing_to_follow() -> TestResult {
    let world = World::new();
    let daemon = world.daemon().await?;
    assert!(follow(&daemon, &DeploymentId::random()?).await?.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_reads_too_slowly_still_sees_the_end() -> TestResult {
    let (world, shop, noisy) = (World::new(), app("shop"), app("noisy"));
    let daemon = world.daemon().await?;
    daemon.serve(&noisy, web("")).await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:5s"))).await?;
    let mut followed = daemon.engine.follow(&accepted.deployment).await;
    let mut seen = vec![within(followed.next()).await?.unwrap()];
    daemon.ended(&shop, &accepted).await?;
    for count in (1..=8).cycle().take(200) {
        let revision = daemon.engine.scale(&noisy, count, "tester").await?;
        daemon.settled(&noisy, revision).await?;
    }
    within(async {
        while let Some(event) = followed.next().await {
            seen.push(event);
        }
    })
    .await?;
    assert!(is_whole(&seen), "{seen:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_a_stop_or_a_removal_ends_comes_to_its_end_for_followers_too() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for removed in [false, true] {
        daemon.serve(&shop, web("")).await?;
        let accepted = daemon.engine.deploy(request(&shop, web("ready-after:30s"))).await?;
        let end = async {
            pass(Duration::from_secs(5)).await;
            match removed {
                true => daemon.engine.remove(&shop, false, "tester").await,
                false => daemon.engine.stop(&shop, "tester").await,
            }
        };
        let (events, ended) = tokio::join!(follow(&daemon, &accepted.deployment), end);
        let (events, revision) = (events?, ended?);
        assert!(is_whole(&events), "{events:?}");
        let status = daemon.engine.deployment(&accepted.deployment).unwrap().status;
        assert_eq!(status, DeploymentStatus::Cancelled);
        daemon.engine.settled(&shop, revision, PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_deployment_comes_to_its_end_for_followers_too() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:30s"))).await?;
    let cancel = async {
        pass(Duration::from_secs(5)).await;
        daemon.engine.cancel(&accepted.deployment, "tester").await
    };
    let (events, cancelled) = tokio::join!(follow(&daemon, &accepted.deployment), cancel);
    cancelled?;
    assert!(is_whole(&events?));
    Ok(())
}
