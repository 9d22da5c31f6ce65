//! Apps that come up after others.

use std::time::Duration;

use nd_core::engine::DeployRequest;
use nd_core::model::AppPhase;
use nd_core::records::DeploymentStatus;
use nd_core::spec::{AppSpec, Condition, Dependency, RestartPolicy};
use nd_types::ExitStatus;

use crate::world::*;

fn after(other: &str, condition: Condition, spec: AppSpec) -> AppSpec {
    AppSpec { depends_on: vec![Dependency { app: app(other), condition }], ..spec }
}

/// Something that does its work and ends.
fn job() -> AppSpec {
    let mut job = command("exit:0");
    job.restart.policy = RestartPolicy::OnFailure;
    job
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_with_success_is_deployed_and_done() -> TestResult {
    let (world, work) = (World::new(), app("work"));
    let daemon = world.daemon().await?;
    let ended = daemon.deploy(&work, job()).await?;
    assert_eq!(ended.status, DeploymentStatus::Succeeded, "{:?}", ended.error);
    let status = daemon.until(&work, |status| status.settled && status.phase == AppPhase::Stopped).await?;
    assert_eq!(status.reason.as_deref(), Some("it has ended with success"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_starts_when_what_it_depends_on_has_come_far_enough() -> TestResult {
    for (condition, db) in [
        (Condition::Started, web("answers:500")),
        (Condition::Healthy, web("ready-after:5s")),
        (Condition::Completed, job()),
    ] {
        let (world, shop) = (World::new(), app("shop"));
        let daemon = world.daemon().await?;
        let accepted = daemon.engine.deploy(request(&shop, after("db", condition, web("")))).await?;
        pass(Duration::from_secs(2)).await;
        assert!(world.docker.running().is_empty(), "{condition:?}: it does not wait");
        let reason = daemon.engine.status(&shop).and_then(|status| status.reason.clone()).unwrap_or_default();
        assert!(reason.contains("waits for db") && reason.contains("not deployed"), "{reason}");
        daemon.engine.deploy(request(&app("db"), db)).await?;
        let ended = daemon.ended(&shop, &accepted).await?;
        assert_eq!(ended.status, DeploymentStatus::Succeeded, "{condition:?}: {:?}", ended.error);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_answered_whatever_has_become_of_the_others() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&app("db"), web("")).await?;
    let release = daemon.serve(&shop, after("db", Condition::Healthy, web(""))).await?;
    let revision = daemon.engine.stop(&app("db"), "tester").await?;
    daemon.settled(&app("db"), revision).await?;
    let serving = unit(&shop, &release, 1);
    world.docker.crash(&serving, ExitStatus::Code(1));
    within(world.docker.until(|_| world.docker.starts(&serving) == 2)).await
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_waits_for_nothing_says_so_at_its_deadline() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let waiting = request(&shop, after("db", Condition::Healthy, web("")));
    let failed =
        daemon.deploy_as(DeployRequest { deadline: Some(Duration::from_secs(40)), ..waiting }).await?;
    let what = failed.error.map(|error| error.what).unwrap_or_default();
    assert!(what.contains("waits for db to be ready, which is not deployed"), "{what}");
    Ok(())
}
