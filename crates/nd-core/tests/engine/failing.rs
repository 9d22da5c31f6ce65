//! Deployments that fail: the old release never notices, and the answer says why.

use std::time::Duration;

use nd_core::diagnosis::Diagnosis;
use nd_core::engine::DeployRequest;
use nd_core::events::Event;
use nd_core::model::AppPhase;
use nd_core::ports::PortErrorKind;
use nd_core::records::{DeploymentRecord, DeploymentStatus};
use nd_core::spec::{AppSpec, ReadinessSpec};
use nd_testkit::fake::{Fault, RuntimeCall};
use nd_types::{ExitStatus, UnitId};

use crate::world::*;

/// Deploys what must fail over what serves, and checks that the old release has not noticed.
async fn fail_over_old(world: &World, spec: AppSpec) -> TestResult<Diagnosis> {
    let shop = app("shop");
    let daemon = world.daemon().await?;
    let old = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    let tables = world.ingress.history().len();
    let ended = daemon.deploy(&shop, spec).await?;

    assert_eq!(ended.status, DeploymentStatus::Failed);
    assert_eq!(world.ingress.history().len(), tables, "the table of the old release was left alone");
    assert_eq!((world.docker.running(), world.docker.starts(&old)), (vec![old.clone()], 1));
    let left: Vec<UnitId> = world.docker.units().into_iter().filter_map(|seen| seen.id).collect();
    assert_eq!(left, [old], "nothing of the new release is left");
    assert_eq!(daemon.engine.status(&shop).unwrap().phase, AppPhase::Running);
    diagnosis(&ended)
}

fn diagnosis(ended: &DeploymentRecord) -> TestResult<Diagnosis> {
    ended.error.clone().ok_or_else(|| "a failed deployment without a diagnosis".into())
}

#[tokio::test(start_paused = true)]
async fn a_release_that_dies_is_answered_with_its_exit_and_its_last_lines() -> TestResult {
    let why = fail_over_old(&World::new(), web("says:connecting;says:no database;exit:3")).await?;
    assert_eq!(why.exit, Some(ExitStatus::Code(3)));
    assert_eq!(why.logs, ["connecting", "no database"]);
    assert!(why.what.contains("ended with exit code 3"), "{}", why.what);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_that_dies_is_answered_with_the_last_probe_within_a_second() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let begin = tokio::time::Instant::now();
    let ended = daemon.deploy(&shop, web("answers:503;dies-after:4s;says:migrating")).await?;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let why = diagnosis(&ended)?;
    assert_eq!(why.probe.as_deref(), Some("GET :3000/: status 503"));
    assert!(why.what.contains("ended with exit code 1 after 4s"), "{}", why.what);
    assert_eq!((why.exit, why.logs), (Some(ExitStatus::Code(1)), vec!["migrating".to_owned()]));
    assert_eq!(daemon.engine.status(&shop).unwrap().phase, AppPhase::Failed);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_listens_is_given_up_at_its_deadline() -> TestResult {
    let readiness = ReadinessSpec { deadline: Duration::from_secs(20), ..ReadinessSpec::default() };
    let spec = AppSpec { readiness, ..web("never-ready") };
    let why = fail_over_old(&World::new(), spec).await?;
    assert!(why.what.contains("was not ready within 20s"), "{}", why.what);
    assert_eq!(why.why.as_deref(), Some("it runs, but listens on no port"));
    assert_eq!(why.probe.as_deref(), Some("GET :3000/: connection refused"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_that_listens_elsewhere_is_told_where() -> TestResult {
    let begin = tokio::time::Instant::now();
    let why = fail_over_old(&World::new(), web("listens:8080")).await?;
    assert!(begin.elapsed() < Duration::from_secs(16), "{:?}", begin.elapsed());
    assert_eq!(why.why.as_deref(), Some("it listens on port 8080, not on 3000"));
    assert!(why.fix.concat().starts_with("set `app.port: 8080`"), "{:?}", why.fix);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_that_listens_on_loopback_is_told_so() -> TestResult {
    let begin = tokio::time::Instant::now();
    let why = fail_over_old(&World::new(), web("loopback")).await?;
    assert!(begin.elapsed() < Duration::from_secs(11), "{:?}", begin.elapsed());
    assert!(why.why.unwrap().contains("127.0.0.1:3000 inside the container"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_declared_boot_time_is_waited_for_whatever_the_release_listens_on() -> TestResult {
    let readiness = ReadinessSpec { start_period: Duration::from_secs(40), ..ReadinessSpec::default() };
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let begin = tokio::time::Instant::now();
    let ended = daemon.deploy(&shop, AppSpec { readiness, ..web("listens:8080") }).await?;
    assert_eq!(ended.status, DeploymentStatus::Failed);
    assert!((40..56).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_that_listens_late_is_not_given_up_early() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    world.daemon().await?.serve(&shop, web("ready-after:50s")).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_out_of_memory_is_told_so() -> TestResult {
    let why = fail_over_old(&World::new(), web("never-ready;oom-after:2s")).await?;
    assert_eq!(why.exit, Some(ExitStatus::OutOfMemory));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist_fails_at_once() -> TestResult {
    let why = fail_over_old(&World::new(), web("missing")).await?;
    assert_eq!(why.what, "prepare: it does not exist");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_vanishes_is_waited_for() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    world.docker.faults().set(RuntimeCall::Create, Fault::Fail(PortErrorKind::Unavailable));
    let accepted = daemon.engine.deploy(request(&shop, web(""))).await?;
    pass(Duration::from_secs(60)).await;
    let waiting = daemon.engine.status(&shop).unwrap();
    assert_eq!(waiting.phase, AppPhase::Deploying);
    assert!(waiting.reason.as_ref().is_some_and(|reason| reason.contains("Create")), "{waiting:?}");
    world.docker.faults().clear(RuntimeCall::Create);
    assert_eq!(daemon.ended(&shop, &accepted).await?.status, DeploymentStatus::Succeeded);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stays_away_fails_the_deployment_at_its_deadline() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    world.docker.faults().set(RuntimeCall::Prepare, Fault::Fail(PortErrorKind::Unavailable));
    let begin = tokio::time::Instant::now();
    let limited = DeployRequest { deadline: Some(Duration::from_secs(40)), ..request(&shop, web("")) };
    let ended = daemon.deploy_as(limited).await?;
    assert_eq!((ended.status, begin.elapsed().as_secs()), (DeploymentStatus::Failed, 40));
    assert!(diagnosis(&ended)?.what.contains("gave up at the deadline: Prepare"), "{:?}", ended.error);
    assert_eq!(world.ingress.backends(&shop), [old]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_of_one_version_at_a_time_gets_its_old_release_back() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = unit(&shop, &daemon.serve(&shop, with_volume(web(""))).await?, 1);
    let ended = daemon.deploy(&shop, with_volume(web("exit:1"))).await?;
    assert_eq!(ended.status, DeploymentStatus::Failed);
    assert_eq!((world.docker.running(), world.ingress.backends(&shop)), (vec![old.clone()], vec![old]));
    let told = daemon.count(|event| matches!(event, Event::DeployFailed { old_serves: true, .. })).await?;
    assert_eq!(told, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_deployment_goes_back() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    let accepted = daemon.engine.deploy(request(&shop, web("never-ready"))).await?;
    within(world.docker.until(|_| world.docker.running().len() == 2)).await?;
    let revision = daemon.engine.cancel(&accepted.deployment, "tester").await?;
    daemon.settled(&shop, revision).await?;
    let ended = daemon.engine.deployment(&accepted.deployment).unwrap();
    assert_eq!((ended.status, world.docker.running()), (DeploymentStatus::Cancelled, vec![old]));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_leaves_a_failed_app_that_can_be_deployed() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    assert_eq!(daemon.deploy(&shop, web("exit:1")).await?.status, DeploymentStatus::Failed);
    let status = daemon.engine.status(&shop).unwrap();
    assert_eq!((status.phase, status.release.clone()), (AppPhase::Failed, None));
    assert!(world.docker.units().is_empty());
    daemon.serve(&shop, web("")).await?;
    Ok(())
}
