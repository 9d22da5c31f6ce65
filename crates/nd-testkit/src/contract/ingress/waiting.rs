//! The part of the contract that is about requests for which no unit is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use nd_core::ports::Ingress;
use nd_types::{Availability, Service};
use tokio::time::timeout;

use super::http::{Client, get};
use super::upstream::Upstream;
use super::{A_WHILE, SOON, app, host, service, state};
use crate::contract::ContractResult;

pub(super) async fn a_request_without_a_unit_waits_for_one(ingress: Arc<dyn Ingress>) -> ContractResult {
    let shop = app("shop")?;
    ingress.apply(state(1, vec![service(&shop, vec![])?])).await?;
    let mut client = Client::connect(ingress.http_addr()).await?;
    client.ask(&host(&shop)).await?;
    assert!(timeout(A_WHILE, client.answer()).await.is_err(), "nobody can have answered yet");

    let upstream = Upstream::start(&shop, 1).await?;
    ingress.apply(state(2, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
    let answer = client.answer().await?;
    assert_eq!((answer.status, answer.body.as_str()), (200, "1"));
    Ok(())
}

pub(super) async fn a_request_to_a_sleeping_app_waits_and_is_made_known(
    ingress: Arc<dyn Ingress>,
) -> ContractResult {
    let (shop, nobody) = (app("shop")?, BTreeSet::new());
    let asleep = Service { availability: Availability::Sleeping, ..service(&shop, vec![])? };
    ingress.apply(state(1, vec![asleep])).await?;
    assert!(timeout(A_WHILE, ingress.wanted(&nobody)).await.is_err(), "nobody has asked yet");
    let mut client = Client::connect(ingress.http_addr()).await?;
    client.ask(&host(&shop)).await?;
    let wanted = timeout(SOON, ingress.wanted(&nobody)).await??;
    assert_eq!(wanted, BTreeSet::from([shop.clone()]));
    assert_eq!(timeout(SOON, ingress.wanted(&nobody)).await??, wanted, "until it is awake");

    ingress.apply(state(2, vec![service(&shop, vec![])?])).await?;
    assert_eq!(timeout(SOON, ingress.wanted(&wanted)).await??, nobody);
    let upstream = Upstream::start(&shop, 1).await?;
    ingress.apply(state(3, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
    assert_eq!(client.answer().await?.body, "1", "it was one request all the time");
    let traffic = ingress.traffic(&shop).await?;
    assert_eq!((traffic.requests, traffic.held), (1, 1));
    Ok(())
}

pub(super) async fn a_request_without_a_unit_is_told_to_come_back(ingress: &dyn Ingress) -> ContractResult {
    let shop = app("shop")?;
    ingress.apply(state(1, vec![service(&shop, vec![])?])).await?;
    assert_eq!(get(ingress.http_addr(), &host(&shop)).await?.status, 503);
    let upstream = Upstream::start(&shop, 1).await?;
    ingress.apply(state(2, vec![service(&shop, vec![upstream.backend.clone()])?])).await?;
    assert_eq!(get(ingress.http_addr(), &host(&shop)).await?.body, "1");
    Ok(())
}
