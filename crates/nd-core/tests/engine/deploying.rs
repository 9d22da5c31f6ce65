//! Deployments that go well.

use std::time::Duration;

use nd_core::engine::{EngineError, RollbackRequest, RollbackTarget};
use nd_core::events::Event;
use nd_core::model::AppPhase;
use nd_core::model::edit::EditError;
use nd_core::plan::Step;
use nd_core::ports::UnitStatus;
use nd_core::records::DeploymentStatus;
use nd_testkit::fake::RuntimeCall;
use nd_types::{Availability, StrategyName};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn a_deployed_app_serves() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let ended = daemon.deploy(&shop, web("")).await?;
    assert_eq!((ended.status, ended.strategy), (DeploymentStatus::Succeeded, StrategyName::BlueGreen));

    let serving = unit(&shop, &ended.release, 1);
    assert_eq!(world.ingress.backends(&shop), [serving]);
    let status = daemon.engine.status(&shop).unwrap();
    assert_eq!((status.phase, status.ready, status.settled), (AppPhase::Running, 1, true));
    assert_eq!(status.release, Some(ended.release));
    assert_eq!(daemon.engine.url(&status).as_deref(), Some("http://shop.localhost"));
    assert_eq!(daemon.engine.list().len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_port_goes_from_the_proxy_to_the_app_and_back_and_nobody_else_has_it_in_between() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let swaps = [
        (false, StrategyName::BlueGreen),
        (true, StrategyName::Recreate),
        (true, StrategyName::Recreate),
        (false, StrategyName::Recreate),
    ];
    for (direct, strategy) in swaps {
        let ended = daemon.deploy(&shop, on_host_port(direct)).await?;
        assert_eq!((ended.status, ended.strategy), (DeploymentStatus::Succeeded, strategy), "{ended:?}");
        let state = world.ingress.state();
        assert_eq!((state.host_ports.is_empty(), state.routes.is_empty()), (direct, direct));
    }
    let history = world.ingress.history();
    let without_units = |state: &&std::sync::Arc<nd_types::EdgeState>| {
        state.services.iter().all(|service| service.backends.is_empty())
    };
    let gaps: Vec<_> = history.iter().filter(without_units).collect();
    assert!(gaps.len() > swaps.len() - 1 && gaps.iter().all(|gap| gap.host_ports.is_empty()), "{gaps:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_with_a_port_of_its_own_has_one_instance() -> TestResult {
    let (world, db) = (World::new(), app("db"));
    let daemon = world.daemon().await?;
    let two = daemon.engine.deploy(replicas(2, request(&db, on_host_port(true)))).await;
    assert!(matches!(refusal(two), EngineError::Edit(EditError::OnlyOne(2))));
    daemon.serve(&db, on_host_port(true)).await?;
    let status = daemon.engine.status(&db).unwrap();
    assert_eq!(daemon.engine.url(&status).as_deref(), Some("http://127.0.0.1:3000"));
    assert!(matches!(
        refusal(daemon.engine.scale(&db, 2, "tester").await),
        EngineError::Edit(EditError::OnlyOne(2))
    ));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_process_serves_on_its_leased_port() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&shop, command("ready-after:300ms")).await?;
    let seen = world.process.units();
    assert_eq!(seen[0].id, Some(unit(&shop, &release, 1)));
    let backend = &world.ingress.service(&shop).unwrap().backends[0];
    assert_eq!(Some(backend.address.port()), seen[0].port.map(u16::from));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_second_deployment_swaps_and_stops_the_old_release_when_its_requests_have_ended() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = unit(&shop, &daemon.serve(&shop, web("")).await?, 1);
    world.ingress.set_in_flight(&old, 2);
    let accepted = daemon.engine.deploy(request(&shop, web("ready-after:1s"))).await?;
    let new = unit(&shop, &accepted.release, 1);

    within(world.ingress.until(|_| world.ingress.backends(&shop) == [new.clone()])).await?;
    pass(Duration::from_secs(5)).await;
    assert_eq!(
        world.docker.running(),
        sorted([old.clone(), new.clone()]),
        "requests are in flight on the old"
    );
    world.ingress.set_in_flight(&old, 0);
    assert_eq!(daemon.ended(&shop, &accepted).await?.status, DeploymentStatus::Succeeded);

    assert_eq!(world.docker.running(), [new]);
    let kept = world.docker.units().into_iter().find(|seen| seen.id.as_ref() == Some(&old)).unwrap();
    assert!(matches!(kept.status, UnitStatus::Exited { .. }), "{:?}", kept.status);
    assert_eq!(daemon.engine.status(&shop).unwrap().kept, [old.release().clone()]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_table_ever_mixes_releases_or_is_empty_between_them() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    for _ in 0..3 {
        let ended = daemon.deploy_as(replicas(2, request(&shop, web("ready-after:200ms")))).await?;
        assert_eq!(ended.status, DeploymentStatus::Succeeded);
    }
    let tables = world.ingress.history();
    let services: Vec<_> = tables.iter().flat_map(|table| &table.services).collect();
    for service in &services {
        assert_eq!(service.backends.len(), 2, "{service:?}");
        assert!(service.backends.iter().all(|backend| *backend.unit.release() == service.release));
    }
    let generations: Vec<_> = tables.iter().map(|table| table.generation.0).collect();
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_release_beyond_the_kept_ones_is_removed_with_its_units() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let mut releases = Vec::new();
    for _ in 0..4 {
        let spec = nd_core::spec::AppSpec { keep_releases: 2, ..web("") };
        releases.insert(0, daemon.serve(&shop, spec).await?);
    }
    within(world.docker.until(|units| units.len() == 3)).await?;
    assert_eq!(daemon.engine.status(&shop).unwrap().kept, releases[1..3]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_app_with_a_writable_volume_is_swapped_without_two_versions_at_once() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = daemon.serve(&shop, with_volume(web(""))).await?;
    let planned = daemon.engine.plan(&shop, &with_volume(web("")), None, None)?;
    assert_eq!(planned.strategy, StrategyName::Recreate);
    assert!(planned.reason.unwrap().contains("/data is writable"));
    assert!(planned.plan.stages.concat().contains(&Step::Apply(vec![])), "requests are held");

    let accepted = daemon.engine.deploy(request(&shop, with_volume(web("ready-after:2s")))).await?;
    within(world.docker.until(|_| world.docker.running() == [unit(&shop, &accepted.release, 1)])).await?;
    let gap = world.ingress.service(&shop).unwrap();
    assert_eq!((gap.backends.len(), gap.availability), (0, Availability::Serving), "requests wait");
    let ended = daemon.ended(&shop, &accepted).await?;
    assert_eq!(ended.status, DeploymentStatus::Succeeded);
    assert_eq!(world.ingress.backends(&shop), [unit(&shop, &accepted.release, 1)]);
    assert_eq!(daemon.engine.status(&shop).unwrap().kept, [old]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bluegreen_is_refused_where_two_versions_cannot_run() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let mut spec = with_volume(web(""));
    spec.strategy = Some(StrategyName::BlueGreen);
    let refused = refusal(daemon.engine.deploy(request(&shop, spec)).await);
    assert!(matches!(refused, EngineError::Strategy(..)), "{refused}");
    assert!(daemon.engine.status(&shop).is_none(), "an app that was refused never existed");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_port_is_fixed_to_its_own_and_swapped_by_recreate() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let fixed = || nd_core::spec::AppSpec { port: "8000".parse().ok(), ..command("listens:8000") };
    let ended = daemon.deploy(&shop, fixed()).await?;
    assert!(ended.notes.iter().any(|note| note.contains("listens on port 8000")), "{:?}", ended.notes);
    let swapped = daemon.deploy(&shop, fixed()).await?;
    assert_eq!((swapped.status, swapped.strategy), (DeploymentStatus::Succeeded, StrategyName::Recreate));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_port_runs_without_a_route() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let ended = daemon.deploy(&shop, command("never-ready")).await?;
    assert_eq!(ended.status, DeploymentStatus::Succeeded, "{:?}", ended.error);
    assert!(ended.notes.iter().any(|note| note.contains("counts as a worker")), "{:?}", ended.notes);
    assert_eq!(daemon.engine.url(&daemon.engine.status(&shop).unwrap()), None);
    assert!(world.ingress.state().routes.is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_image_with_a_healthcheck_is_ready_when_that_passes() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let begin = tokio::time::Instant::now();
    daemon.serve(&shop, web("healthy-after:7s")).await?;
    assert!(begin.elapsed() >= Duration::from_secs(7));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rollback_starts_the_kept_units_and_creates_none() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let first = daemon.serve(&shop, web("")).await?;
    let second = daemon.serve(&shop, web("")).await?;
    let created = world.docker.count(RuntimeCall::Create);
    let back =
        daemon.engine.rollback(RollbackRequest::new(&shop, RollbackTarget::Previous, "tester")).await?;
    assert_eq!(back.release, first);
    assert_eq!(daemon.ended(&shop, &back).await?.status, DeploymentStatus::Succeeded);
    assert_eq!(world.docker.running(), [unit(&shop, &first, 1)]);
    assert_eq!(world.docker.count(RuntimeCall::Create), created);
    assert_eq!(daemon.engine.status(&shop).unwrap().kept, [second]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_rollback_without_an_earlier_release_is_refused() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    for to in [RollbackTarget::Previous, RollbackTarget::Steps(3)] {
        let refused = refusal(daemon.engine.rollback(RollbackRequest::new(&shop, to, "tester")).await);
        assert!(matches!(refused, EngineError::NothingToRollBackTo(_)), "{refused}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_plan_that_is_shown_touches_nothing() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let planned = daemon.engine.plan(&shop, &web(""), Some(2), None)?;
    assert_eq!(planned.strategy, StrategyName::BlueGreen);
    assert_eq!(planned.plan.units().len(), 2);
    assert!(daemon.engine.status(&shop).is_none());
    assert_eq!(world.docker.count(RuntimeCall::Create), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_a_deployment_are_told_in_their_order() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    let second = daemon.deploy(&shop, web("prepare-takes:3s")).await?;
    let told: Vec<String> = daemon
        .events()
        .await?
        .into_iter()
        .filter(|event| event.deployment.as_ref() == Some(&second.id))
        .filter_map(|event| match event.what {
            Event::DeployStep(step) => Some(format!("{} {:?}", step.step, step.state)),
            Event::DeployStarted { .. } => Some("started".to_owned()),
            Event::DeploySucceeded { .. } => Some("succeeded".to_owned()),
            _ => None,
        })
        .collect();
    let steps = ["create", "start", "health", "swap", "drain", "stop"];
    let around = |step: &str| [format!("{step} Start"), format!("{step} Ok")];
    let mut expected: Vec<String> =
        ["started", "prepare Start", "prepare Progress", "prepare Ok"].map(str::to_owned).to_vec();
    expected.extend(steps.iter().flat_map(|step| around(step)));
    expected.extend(["receipt Ok", "succeeded"].map(str::to_owned));
    assert_eq!(told, expected);
    Ok(())
}

fn sorted<const N: usize>(mut units: [nd_types::UnitId; N]) -> [nd_types::UnitId; N] {
    units.sort();
    units
}
