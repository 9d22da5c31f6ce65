//! The daemon is killed around the effect of every step, and the next one goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nd_core::engine::Accepted;
use nd_core::ports::StateStore;
use nd_core::records::{DeploymentStatus, Record};
use nd_core::spec::AppSpec;
use nd_testkit::fake::{Cable, FakeIngress};

use crate::world::*;

const STEPS: [&str; 9] =
    ["observe", "prepare", "create", "start", "health", "apply", "drain", "stop", "remove"];

/// Deploys `spec` over a release that serves, and kills the daemon at `moment`.
async fn killed_at(world: &World, moment: &str, spec: AppSpec) -> TestResult<Accepted> {
    let (shop, cable) = (app("shop"), Cable::new());
    let armed = Arc::new(AtomicBool::new(false));
    let (at, wire, ready) = (moment.to_owned(), cable.clone(), armed.clone());
    let fail_point = Arc::new(move |reached: &str| {
        if reached == at && ready.load(Ordering::SeqCst) {
            wire.cut();
        }
    });
    let daemon = world.daemon_with(Arc::new(world.store.clone()), fail_point, cable.clone()).await?;
    daemon.serve(&shop, with_volume_of(&spec, web(""))).await?;
    pass(Duration::from_secs(1)).await;
    armed.store(true, Ordering::SeqCst);
    let accepted = daemon.engine.deploy(request(&shop, spec)).await?;
    within(cable.until_cut()).await.map_err(|_| format!("{moment} never came"))?;
    Ok(accepted)
}

/// The release before has a writable volume if the new one has.
fn with_volume_of(spec: &AppSpec, old: AppSpec) -> AppSpec {
    AppSpec { volumes: spec.volumes.clone(), ..old }
}

async fn every_kill(spec: AppSpec, status: DeploymentStatus, steps: &[&str]) -> TestResult {
    let shop = app("shop");
    for step in steps {
        for moment in ["before", "after"].map(|moment| format!("{moment}-{step}")) {
            for table_is_lost in [false, true] {
                let mut world = World::new();
                let accepted = killed_at(&world, &moment, spec.clone()).await?;
                if table_is_lost {
                    world.ingress = Arc::new(FakeIngress::new());
                }
                let daemon = world.daemon().await?;
                let settled = daemon.until(&shop, |status| status.settled && status.rollout.is_none());
                let settled = settled.await.map_err(|error| format!("{moment}: {error}"))?;
                let ended = daemon.engine.deployment(&accepted.deployment).unwrap();
                assert_eq!(ended.status, status, "{moment}: {:?}", ended.error);
                let release = match status {
                    DeploymentStatus::Succeeded => ended.release,
                    _ => ended.previous.unwrap(),
                };
                assert_eq!(settled.release.as_ref(), Some(&release), "{moment}");
                let serving = [unit(&shop, &release, 1)];
                assert_eq!(world.docker.running(), serving, "{moment}: nobody's orphan runs");
                assert_eq!(world.ingress.backends(&shop), serving, "{moment}");
            }
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_goes_on_wherever_the_daemon_was_killed() -> TestResult {
    let without_removal = STEPS.split_last().unwrap().1;
    Box::pin(every_kill(web("ready-after:200ms"), DeploymentStatus::Succeeded, without_removal)).await
}

#[tokio::test(start_paused = true)]
async fn a_recreation_goes_on_wherever_the_daemon_was_killed() -> TestResult {
    let without_removal = STEPS.split_last().unwrap().1;
    Box::pin(every_kill(with_volume(web("ready-after:200ms")), DeploymentStatus::Succeeded, without_removal))
        .await
}

#[tokio::test(start_paused = true)]
async fn a_failing_deployment_goes_back_wherever_the_daemon_was_killed() -> TestResult {
    let steps = ["observe", "prepare", "create", "start", "health", "remove"];
    Box::pin(every_kill(web("answers:500;dies-after:3s"), DeploymentStatus::Failed, &steps)).await
}

#[tokio::test(start_paused = true)]
async fn a_failing_recreation_brings_the_old_release_back_wherever_the_daemon_was_killed() -> TestResult {
    Box::pin(every_kill(with_volume(web("answers:500;dies-after:3s")), DeploymentStatus::Failed, &STEPS))
        .await
}

#[tokio::test(start_paused = true)]
async fn a_removal_goes_on_wherever_the_daemon_was_killed_and_leaves_only_a_tombstone() -> TestResult {
    let shop = app("shop");
    for step in ["before-drain", "after-drain", "before-stop", "after-stop", "before-remove", "after-remove"]
    {
        let (world, cable) = (World::new(), Cable::new());
        let (armed, wire) = (Arc::new(AtomicBool::new(false)), cable.clone());
        let ready = armed.clone();
        let fail_point = Arc::new(move |reached: &str| {
            if reached == step && ready.load(Ordering::SeqCst) {
                wire.cut();
            }
        });
        let daemon = world.daemon_with(Arc::new(world.store.clone()), fail_point, cable.clone()).await?;
        daemon.serve(&shop, web("")).await?;
        daemon.serve(&shop, web("")).await?;
        armed.store(true, Ordering::SeqCst);
        daemon.engine.remove(&shop, false, "tester").await?;
        within(cable.until_cut()).await.map_err(|_| format!("{step} never came"))?;
        let next = world.daemon().await?;
        let gone = async {
            while next.engine.status(&shop).is_some() || !world.docker.units().is_empty() {
                pass(Duration::from_millis(10)).await;
            }
        };
        within(gone).await.map_err(|_| format!("{step}: it is not removed"))?;
        let records = world.store.load().await?.records;
        let left = records.iter().filter(|record| matches!(record, Record::Release(_))).count();
        assert_eq!(left, 0, "{step}: releases of the removed app are still stored");
    }
    Ok(())
}
