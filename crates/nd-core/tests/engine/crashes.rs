//! Units that end or vanish although they should run.

use std::sync::Arc;
use std::time::Duration;

use nd_core::events::Event;
use nd_core::model::AppPhase;
use nd_core::spec::{AppSpec, RestartPolicy, RestartSpec};
use nd_testkit::fake::{Cable, RuntimeCall};
use nd_types::{Availability, ExitStatus};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_crash_is_answered_with_a_restart_at_once_and_not_by_the_sweep() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    pass(Duration::from_secs(60)).await;
    let begin = tokio::time::Instant::now();
    world.docker.crash(&serving, ExitStatus::Signal(11));
    within(world.docker.until(|_| world.docker.starts(&serving) == 2)).await?;
    assert!(begin.elapsed() < Duration::from_millis(20), "{:?}", begin.elapsed());
    daemon.until(&shop, |status| status.ready == 1).await?;
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_a_deployment_is_answered_while_that_goes_on() -> TestResult {
    for script in ["prepare-takes:60s", "ready-after:50s"] {
        let (world, shop) = (World::new(), app("shop"));
        let daemon = world.daemon().await?;
        let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
        let accepted = daemon.engine.deploy(request(&shop, web(script))).await?;
        pass(Duration::from_secs(20)).await;
        let begin = tokio::time::Instant::now();
        world.docker.crash(&serving, ExitStatus::Code(1));
        within(world.docker.until(|_| world.docker.starts(&serving) == 2)).await?;
        assert!(begin.elapsed() < Duration::from_millis(20), "{script}: {:?}", begin.elapsed());
        let release = daemon.ended(&shop, &accepted).await?.release;
        assert_eq!(world.ingress.backends(&shop), [unit(&shop, &release, 1)]);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_whose_hint_was_lost_is_found_by_the_sweep() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    world.docker.lose_hints(true);
    world.docker.crash(&serving, ExitStatus::Code(1));
    let begin = tokio::time::Instant::now();
    within(world.docker.until(|_| world.docker.starts(&serving) == 2)).await?;
    assert!(begin.elapsed() < Duration::from_secs(34), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn hints_are_asked_for_again_when_their_stream_ends() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    world.docker.end_hints();
    pass(Duration::from_secs(6)).await;
    world.docker.crash(&serving, ExitStatus::Code(1));
    let begin = tokio::time::Instant::now();
    within(world.docker.until(|_| world.docker.starts(&serving) == 2)).await?;
    assert!(begin.elapsed() < Duration::from_millis(20), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_others_serve_while_one_instance_comes_back() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let ended = daemon.deploy_as(replicas(2, request(&shop, web("ready-after:2s")))).await?;
    let (one, two) = (unit(&shop, &ended.release, 1), unit(&shop, &ended.release, 2));
    world.docker.crash(&one, ExitStatus::Code(1));
    within(world.ingress.until(|_| world.ingress.backends(&shop) == [two.clone()])).await?;
    assert_eq!(daemon.engine.status(&shop).unwrap().phase, AppPhase::Degraded);
    within(world.ingress.until(|_| world.ingress.backends(&shop) == [one.clone(), two.clone()])).await?;
    daemon.until(&shop, |status| status.phase == AppPhase::Running).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn requests_wait_while_the_only_instance_comes_back() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("ready-after:2s")).await?, 1);
    world.docker.crash(&serving, ExitStatus::Code(1));
    within(world.ingress.until(|_| world.ingress.backends(&shop).is_empty())).await?;
    assert_eq!(world.ingress.availability(&shop), Some(Availability::Serving));
    within(world.ingress.until(|_| world.ingress.backends(&shop) == [serving.clone()])).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_pauses_fails_requests_at_once_and_tries_again_after_the_cooldown() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("dies-after:1s")).await?;
    let failed = daemon.until(&shop, |status| status.phase == AppPhase::Failed).await?;
    assert!(failed.reason.as_ref().unwrap().contains("crash loop: 5 crashes"), "{failed:?}");
    let serving = failed.units[0].id.clone();
    assert_eq!(world.docker.starts(&serving), 5);
    let refused = |a: &Option<Availability>| matches!(a, Some(Availability::Failed { .. }));
    within(world.ingress.until(|_| refused(&world.ingress.availability(&shop)))).await?;
    let begin = tokio::time::Instant::now();
    within(world.docker.until(|_| world.docker.starts(&serving) == 6)).await?;
    assert!((299..=301).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(daemon.count(|event| matches!(event, Event::CrashLoop { .. })).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_new_release_that_crashes_again_and_again_is_replaced_by_the_one_before() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let good = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    daemon.deploy(&shop, web("dies-after:2s")).await?;
    let back = daemon.until(&shop, |s| s.release.as_ref() == Some(good.release()) && s.settled).await?;
    assert_eq!((back.phase, world.docker.running()), (AppPhase::Running, vec![good.clone()]));
    assert_eq!(world.ingress.backends(&shop), [good]);
    assert_eq!(daemon.count(|event| matches!(event, Event::DeployRolledBack { .. })).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_restart_policy_decides_which_exits_are_answered() -> TestResult {
    for (policy, exit, comes_back) in [
        (RestartPolicy::OnFailure, 0, false),
        (RestartPolicy::OnFailure, 1, true),
        (RestartPolicy::Never, 1, false),
        (RestartPolicy::Always, 0, true),
    ] {
        let (world, shop) = (World::new(), app("shop"));
        let daemon = world.daemon().await?;
        let restart = RestartSpec { policy, ..RestartSpec::default() };
        let release = daemon.serve(&shop, AppSpec { restart, ..web("") }).await?;
        world.docker.crash(&unit(&shop, &release, 1), ExitStatus::Code(exit));
        pass(Duration::from_secs(90)).await;
        assert_eq!(world.docker.running().len(), usize::from(comes_back), "{policy} {exit}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_unit_removed_behind_the_back_is_created_again() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    world.docker.vanish(&serving);
    within(world.docker.until(|_| world.docker.count(RuntimeCall::Create) == 2)).await?;
    daemon.until(&shop, |status| status.ready == 1).await?;
    assert_eq!(world.ingress.backends(&shop), [serving]);
    assert_eq!(daemon.count(|event| matches!(event, Event::UnitVanished)).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_exit_counts_once_whether_a_daemon_saw_it_or_not() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let serving = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    let exits = |event: &Event| matches!(event, Event::UnitExited { .. });
    // Nobody sees the first one.
    daemon.kill();
    world.docker.crash(&serving, ExitStatus::Code(1));
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.ready == 1).await?;
    assert_eq!(daemon.count(exits).await?, 1);
    // The second one is seen by a daemon that is killed before it starts the unit again.
    let cable = Cable::new();
    let wire = cable.clone();
    let fail_point = Arc::new(move |reached: &str| {
        if reached == "before-start" {
            wire.cut();
        }
    });
    daemon.kill();
    let daemon = world.daemon_with(Arc::new(world.store.clone()), fail_point, cable.clone()).await?;
    daemon.until(&shop, |status| status.ready == 1).await?;
    pass(Duration::from_secs(20)).await;
    world.docker.crash(&serving, ExitStatus::Code(1));
    within(cable.until_cut()).await?;
    let daemon = world.daemon().await?;
    daemon.until(&shop, |status| status.ready == 1).await?;
    assert_eq!(daemon.count(exits).await?, 2);
    Ok(())
}
