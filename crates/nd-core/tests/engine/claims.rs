//! Two wishes for one thing: deployments of one app, domains and ports of several.

use std::net::SocketAddr;
use std::time::Duration;

use nd_core::engine::{DeployRequest, EngineError};
use nd_core::events::Event;
use nd_core::records::DeploymentStatus;
use nd_core::spec::{AppSpec, HostPortSpec, RouteSpec};
use nd_types::{HostPattern, HostPortProtocol, PathPrefix, RouteOptions};

use crate::world::*;

fn at(host: &str, spec: AppSpec) -> AppSpec {
    let route = RouteSpec {
        host: HostPattern::new(host).unwrap(),
        path: PathPrefix::root(),
        options: RouteOptions::default(),
    };
    AppSpec { routes: vec![route], ..spec }
}

fn on(bind: &str, spec: AppSpec) -> AppSpec {
    let protocol = HostPortProtocol::Http;
    let port = HostPortSpec { bind: bind.parse().unwrap(), port: "3000".parse().unwrap(), protocol };
    AppSpec { host_ports: vec![port], ..spec }
}

#[tokio::test(start_paused = true)]
async fn a_second_deployment_at_once_is_told_who_is_at_work() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let first = daemon.engine.deploy(request(&shop, web("ready-after:20s"))).await?;
    let refused = refusal(daemon.engine.deploy(request(&shop, web(""))).await);
    let EngineError::Busy { deployment, actor, .. } = refused else { return Err(refused.into()) };
    assert_eq!((deployment, actor.as_str()), (first.deployment.clone(), "tester"));
    assert_eq!(daemon.ended(&shop, &first).await?.status, DeploymentStatus::Succeeded);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn deployments_that_wait_for_their_turn_all_get_it() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.engine.deploy(request(&shop, web("ready-after:20s"))).await?;
    let patient = || DeployRequest { lock_wait: PATIENCE, ..request(&shop, web("ready-after:3s")) };
    let (a, b) = tokio::join!(daemon.deploy_as(patient()), daemon.deploy_as(patient()));
    let (a, b) = (a?, b?);
    let good = DeploymentStatus::Succeeded;
    assert_eq!((a.status, b.status), (good, good), "{:?} {:?}", a.error, b.error);
    let last = if a.finished_at > b.finished_at { a } else { b };
    assert_eq!(world.docker.running(), [unit(&shop, &last.release, 1)]);
    assert_eq!(daemon.engine.deployments(Some(&shop)).len(), 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deployment_waits_for_its_turn_no_longer_than_it_was_told_to() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.engine.deploy(request(&shop, web("ready-after:50s"))).await?;
    let begin = tokio::time::Instant::now();
    let hasty = DeployRequest { lock_wait: Duration::from_secs(5), ..request(&shop, web("")) };
    let refused = refusal(daemon.engine.deploy(hasty).await);
    assert!(matches!(refused, EngineError::Busy { .. }), "{refused}");
    assert_eq!(begin.elapsed().as_secs(), 5);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_domain_of_another_app_is_refused_by_name() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, at("example.com", web(""))).await?;
    let refused = refusal(daemon.engine.deploy(request(&blog, at("example.com", web("")))).await);
    assert!(matches!(&refused, EngineError::HostTaken { host, by } if host == "example.com" && *by == shop));
    assert!(daemon.engine.status(&blog).is_none());
    daemon.serve(&blog, at("blog.example.com", web(""))).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_host_port_of_another_app_is_refused_by_name() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, on("127.0.0.1:3000", web(""))).await?;
    let refused = refusal(daemon.engine.deploy(request(&blog, on("0.0.0.0:3000", web("")))).await);
    assert!(matches!(&refused, EngineError::HostPortTaken { by, .. } if *by == shop), "{refused}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_domain_is_free_again_once_its_app_is_gone_or_moved() -> TestResult {
    let (world, shop, blog, news) = (World::new(), app("shop"), app("blog"), app("news"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, at("example.com", web(""))).await?;
    daemon.serve(&shop, at("shop.example.com", web(""))).await?;
    daemon.serve(&blog, at("example.com", web(""))).await?;
    let revision = daemon.engine.remove(&blog, false, "tester").await?;
    daemon.engine.settled(&blog, revision, PATIENCE).await?;
    daemon.serve(&news, at("example.com", web(""))).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_or_failed_deployment_takes_no_domain() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    world.store.set_full(true);
    daemon.engine.deploy(request(&shop, at("full.example.com", web("")))).await.unwrap_err();
    world.store.set_full(false);
    daemon.deploy(&shop, at("failed.example.com", web("exit:1"))).await?;
    daemon.serve(&blog, at("full.example.com", web(""))).await?;
    daemon.serve(&blog, at("failed.example.com", web(""))).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn claims_are_known_again_after_a_restart_of_the_daemon() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, at("example.com", web(""))).await?;
    daemon.shut_down().await?;
    let daemon = world.daemon().await?;
    let refused = refusal(daemon.engine.deploy(request(&blog, at("example.com", web("")))).await);
    assert!(matches!(refused, EngineError::HostTaken { .. }), "{refused}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_host_port_that_somebody_else_holds_fails_the_deployment() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let old = daemon.serve(&shop, web("")).await?;
    let bind: SocketAddr = "127.0.0.1:3000".parse()?;
    world.ingress.take_port(bind, "nginx (pid 4711)");
    let ended = daemon.deploy(&shop, on("127.0.0.1:3000", web(""))).await?;
    assert_eq!(ended.status, DeploymentStatus::Failed);
    assert!(ended.error.unwrap().what.contains("nginx (pid 4711)"));
    assert_eq!(world.ingress.backends(&shop), [unit(&shop, &old, 1)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_first_deployment_leaves_nobody_behind_who_ends_the_next_one() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    world.store.set_full(true);
    daemon.engine.deploy(request(&shop, web(""))).await.unwrap_err();
    assert!(daemon.engine.status(&shop).is_none());
    world.store.set_full(false);
    let release = daemon.serve(&shop, web("")).await?;
    pass(Duration::from_secs(300)).await;
    let serving = unit(&shop, &release, 1);
    assert_eq!((world.docker.starts(&serving), world.docker.running()), (1, vec![serving]));
    assert_eq!(daemon.count(|event| matches!(event, Event::Trouble { .. })).await?, 0);
    Ok(())
}
