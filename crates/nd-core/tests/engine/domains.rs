//! Domains that are given to apps and taken from them while their instances run on.

use std::collections::BTreeSet;

use nd_core::engine::{EngineError, RollbackRequest, RollbackTarget};
use nd_core::model::edit::{DomainChange, EditError};
use nd_core::spec::{AppSpec, RouteSpec};
use nd_testkit::fake::RuntimeCall;
use nd_types::{AppName, HostPattern, PathPrefix, RouteOptions};

use crate::world::*;

fn hosts(names: &[&str]) -> BTreeSet<HostPattern> {
    names.iter().map(|name| HostPattern::pattern(name).unwrap()).collect()
}

fn add(names: &[&str]) -> DomainChange {
    DomainChange { add: hosts(names), ..DomainChange::default() }
}

fn remove(names: &[&str]) -> DomainChange {
    DomainChange { remove: hosts(names), ..DomainChange::default() }
}

fn at(host: &str, spec: AppSpec) -> AppSpec {
    let host = HostPattern::new(host).unwrap();
    let route = RouteSpec { host, path: PathPrefix::root(), options: RouteOptions::default() };
    AppSpec { routes: vec![route], ..spec }
}

/// Changes the domains of an app and waits until that is served.
async fn change(daemon: &Daemon, app: &AppName, change: DomainChange) -> TestResult {
    let revision = daemon.engine.change_domains(app, change, "tester").await?;
    let status = daemon.engine.routed(app, revision, PATIENCE).await?.ok_or("the app is gone")?;
    assert!(status.routed);
    Ok(())
}

/// The hosts that lead to an app, as the ingress has them.
async fn led(daemon: &Daemon, app: &AppName) -> TestResult<Vec<String>> {
    let edge = daemon.engine.edge().await?;
    let mine = edge.routes.iter().filter(|route| route.app == *app).map(|route| route.host.to_string());
    Ok(mine.filter(|host| !host.ends_with(".localhost")).collect())
}

#[tokio::test(start_paused = true)]
async fn a_domain_is_added_and_removed_while_the_same_instance_serves() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let release = daemon.serve(&shop, at("shop.test", web(""))).await?;
    change(&daemon, &shop, add(&["www.shop.test", "shop.test"])).await?;
    assert_eq!(led(&daemon, &shop).await?, ["shop.test", "www.shop.test"]);
    assert_eq!(daemon.engine.urls(&*daemon.engine.status(&shop).ok_or("gone")?).len(), 3);
    change(&daemon, &shop, remove(&["shop.test"])).await?;
    assert_eq!(led(&daemon, &shop).await?, ["www.shop.test"]);
    change(&daemon, &shop, add(&["shop.test"])).await?;
    change(&daemon, &shop, remove(&["www.shop.test"])).await?;
    assert_eq!(led(&daemon, &shop).await?, ["shop.test"], "what the release declares comes back as it was");
    assert_eq!(world.docker.count(RuntimeCall::Create), 1);
    assert_eq!(world.ingress.backends(&shop), [unit(&shop, &release, 1)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_added_domain_outlives_the_daemon_and_the_next_releases() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, at("shop.test", web(""))).await?;
    change(&daemon, &shop, add(&["www.shop.test"])).await?;
    daemon.kill();
    let daemon = world.daemon().await?;
    daemon.serve(&shop, at("shop.test", web("ready-after:1s"))).await?;
    assert_eq!(led(&daemon, &shop).await?, ["shop.test", "www.shop.test"]);
    let back = RollbackRequest::new(&shop, RollbackTarget::Previous, "tester");
    let accepted = daemon.engine.rollback(back).await?;
    daemon.ended(&shop, &accepted).await?;
    assert_eq!(led(&daemon, &shop).await?, ["shop.test", "www.shop.test"]);
    let revision = daemon.engine.stop(&shop, "tester").await?;
    daemon.settled(&shop, revision).await?;
    change(&daemon, &shop, add(&["old.shop.test"])).await?;
    assert_eq!(led(&daemon, &shop).await?.len(), 3, "those of a stopped app say that it is stopped");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_removed_domain_is_free_for_others_and_comes_back_with_a_release_that_declares_it() -> TestResult {
    let (world, shop, blog) = (World::new(), app("shop"), app("blog"));
    let daemon = world.daemon().await?;
    daemon.serve(&shop, at("shop.test", web(""))).await?;
    daemon.serve(&blog, web("")).await?;
    let refused = refusal(daemon.engine.change_domains(&blog, add(&["shop.test"]), "tester").await);
    assert!(matches!(&refused, EngineError::HostTaken { host, by } if host == "shop.test" && *by == shop));
    change(&daemon, &shop, remove(&["shop.test"])).await?;
    daemon.serve(&shop, at("shop.test", web("ready-after:1s"))).await?;
    assert_eq!(led(&daemon, &shop).await?, ["shop.test"]);
    change(&daemon, &shop, remove(&["shop.test"])).await?;
    change(&daemon, &blog, add(&["shop.test"])).await?;
    assert_eq!(
        (led(&daemon, &shop).await?.len(), led(&daemon, &blog).await?),
        (0, vec!["shop.test".to_owned()])
    );
    let refused = refusal(daemon.engine.deploy(request(&shop, at("shop.test", web("")))).await);
    assert!(matches!(&refused, EngineError::HostTaken { by, .. } if *by == blog), "{refused}");
    daemon.kill();
    let daemon = world.daemon().await?;
    let refused = refusal(daemon.engine.change_domains(&shop, add(&["shop.test"]), "tester").await);
    assert!(matches!(&refused, EngineError::HostTaken { by, .. } if *by == blog), "{refused}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_with_its_reason_and_changes_nothing() -> TestResult {
    let (world, shop) = (World::new(), app("shop"));
    let daemon = world.daemon().await?;
    let unknown = refusal(daemon.engine.change_domains(&shop, add(&["a.test"]), "tester").await);
    assert!(matches!(unknown, EngineError::UnknownApp(_)));
    daemon.serve(&shop, at("shop.test", web(""))).await?;
    for (host, own) in [("other.test", false), ("shop.localhost", true)] {
        let refused = refusal(daemon.engine.change_domains(&shop, remove(&[host]), "tester").await);
        let EngineError::Edit(error) = refused else { return Err(refused.into()) };
        assert_eq!(matches!(error, EditError::OwnName(_)), own, "{error}");
    }
    let both = DomainChange { add: hosts(&["b.test"]), remove: hosts(&["other.test"]) };
    refusal(daemon.engine.change_domains(&shop, both, "tester").await);
    assert_eq!(led(&daemon, &shop).await?, ["shop.test"]);
    let direct = app("direct");
    daemon.serve(&direct, on_host_port(true)).await?;
    let refused = refusal(daemon.engine.change_domains(&direct, add(&["a.test"]), "tester").await);
    assert!(matches!(refused, EngineError::Edit(EditError::NoRoutes)), "{refused}");
    Ok(())
}
