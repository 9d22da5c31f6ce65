//! The part of the contract that visitors notice.

use std::sync::Arc;
use std::time::Duration;

use nd_core::ports::Ingress;
use nd_types::{Availability, Service};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::http::{Client, get};
use super::upstream::Upstream;
use super::{Result, SOON, app, edge, host, service, state};
use crate::contract::ContractResult;
use crate::free_address;

pub(super) async fn a_request_after_an_apply_sees_it(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    let upstreams = [Upstream::start(&shop, 1).await?, Upstream::start(&shop, 2).await?];
    let mut generation = 0;
    for _ in 0..25 {
        for upstream in &upstreams {
            generation += 1;
            ingress.apply(state(generation, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
            for _ in 0..4 {
                let answer = get(ingress.http_addr(), &host(&shop)).await?;
                assert_eq!(answer.body, upstream.backend.unit.slot().to_string(), "generation {generation}");
            }
        }
    }
    Ok(())
}

pub(super) async fn what_became_of_requests_is_told_by_release(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    let upstream = Upstream::start(&shop, 1).await?;
    ingress.apply(state(1, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
    for _ in 0..3 {
        get(ingress.http_addr(), &host(&shop)).await?;
    }
    // An answer is counted when it has left, which the client may see first.
    let counted = async {
        loop {
            let traffic = ingress.traffic(&shop).await?;
            let release = traffic.of(upstream.backend.unit.release());
            if traffic.answers == 3 && release.answers == 3 {
                assert_eq!((traffic.failed, release.failed), (0, 0));
                assert_eq!(release.latency_us.values().sum::<u64>(), 3);
                return ContractResult::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, counted).await?
}

pub(super) async fn an_apply_closes_no_connection_of_a_client(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    let upstreams = [Upstream::start(&shop, 1).await?, Upstream::start(&shop, 2).await?];
    ingress
        .apply(state(1, vec![service(&shop, vec![upstreams.first().ok_or("none")?.backend.clone()])?]))
        .await?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(ingress.http_addr()).await?;
        client.get(&host(&shop)).await?;
        clients.push(client);
    }
    for (generation, upstream) in (2..20).zip(upstreams.iter().cycle()) {
        ingress.apply(state(generation, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
        for client in &mut clients {
            let answer = client.get(&host(&shop)).await?;
            assert_eq!(answer.body, upstream.backend.unit.slot().to_string(), "generation {generation}");
        }
    }
    Ok(())
}

pub(super) async fn an_unknown_host_reaches_no_app(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    let upstream = Upstream::start(&shop, 1).await?;
    ingress.apply(state(1, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
    for unknown in ["blog.localhost", "localhost", "shop.localhost.example.com"] {
        let status = get(ingress.http_addr(), unknown).await?.status;
        assert!(matches!(status, 404 | 421), "{unknown} got {status}");
    }
    Ok(())
}

pub(super) async fn a_stopped_app_answers_unavailable(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    let stopped = Service { availability: Availability::Stopped, ..service(&shop, vec![])? };
    ingress.apply(state(1, vec![stopped])).await?;
    assert_eq!(get(ingress.http_addr(), &host(&shop)).await?.status, 503);
    Ok(())
}

pub(super) async fn a_host_port_opens_and_closes_with_its_state(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    let upstream = Upstream::start(&shop, 1).await?;
    let services =
        || Ok::<_, Box<dyn std::error::Error>>(vec![service(&shop, vec![upstream.backend.clone()])?]);
    let bind = free_address()?;
    let applied = ingress.apply(Arc::new(edge(1, services()?, &[(bind, &shop)]))).await?;
    assert_eq!(applied.faults, []);
    assert_eq!(
        get(bind, "whatever.example.com").await?.body,
        "1",
        "a host port leads to its app whatever the host"
    );

    ingress.apply(state(2, services()?)).await?;
    let refused = Client::connect(bind)
        .await
        .err()
        .and_then(|error| Some(error.downcast::<std::io::Error>().ok()?.kind()));
    assert_eq!(refused, Some(std::io::ErrorKind::ConnectionRefused));
    ingress.apply(Arc::new(edge(3, services()?, &[(bind, &shop)]))).await?;
    assert_eq!(get(bind, "whatever.example.com").await?.body, "1", "the port can be opened again");
    Ok(())
}

pub(super) async fn a_taken_host_port_is_a_fault_of_its_app_alone(ingress: &dyn Ingress) -> ContractResult {
    let (shop, blog) = (app("shop")?, app("blog")?);
    let (one, two) = (Upstream::start(&shop, 1).await?, Upstream::start(&blog, 2).await?);
    let services = || {
        let services = [service(&shop, vec![one.backend.clone()]), service(&blog, vec![two.backend.clone()])];
        services.into_iter().collect::<Result<Vec<Service>>>()
    };
    let holder = TcpListener::bind("127.0.0.1:0").await?;
    let (taken, free) = (holder.local_addr()?, free_address()?);
    let ports = [(taken, &shop), (free, &blog)];

    let applied = ingress.apply(Arc::new(edge(1, services()?, &ports))).await?;
    let faults: Vec<_> = applied.faults.iter().map(|fault| (fault.bind, fault.app.as_ref())).collect();
    assert_eq!(faults, [(taken, Some(&shop))]);
    assert!(applied.faults.iter().all(|fault| !fault.error.is_empty()));
    assert_eq!(get(free, "any").await?.body, "2");
    assert_eq!(get(ingress.http_addr(), &host(&shop)).await?.body, "1", "the app is still found by its host");

    drop(holder);
    let applied = ingress.apply(Arc::new(edge(2, services()?, &ports))).await?;
    assert_eq!(applied.faults, [], "each apply tries again");
    assert_eq!(get(taken, "any").await?.body, "1");
    Ok(())
}
