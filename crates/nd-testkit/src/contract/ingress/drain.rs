//! The part of the contract that is about requests in flight on units that leave.

use std::sync::Arc;
use std::time::Duration;

use nd_core::ports::{DrainReport, EdgeFeature, Ingress, IngressCaps};
use nd_supervise::TaskSet;
use tokio::time::{Instant, timeout};

use super::http::{Client, get};
use super::upstream::Upstream;
use super::{A_WHILE, SOON, app, host, service, state};
use crate::contract::ContractResult;

pub(super) async fn a_drain_lasts_as_long_as_a_request_is_in_flight(
    ingress: Arc<dyn Ingress>,
) -> ContractResult {
    let shop = app("shop")?;
    let (old, new) = (Upstream::start(&shop, 1).await?, Upstream::start(&shop, 2).await?);
    ingress.apply(state(1, vec![service(&shop, vec![old.backend.clone()])?])).await?;
    old.hold();
    let mut client = Client::connect(ingress.http_addr()).await?;
    client.ask(&host(&shop)).await?;
    timeout(SOON, old.asked(1)).await??;

    ingress.apply(state(2, vec![service(&shop, vec![new.backend.clone()])?])).await?;
    let tasks = TaskSet::new("contract");
    let (draining, units) = (Arc::clone(&ingress), [old.backend.unit.clone()]);
    let mut drain =
        tasks.spawn_with("drain", async move { draining.drain(&units, Duration::from_secs(60)).await });
    assert!(timeout(A_WHILE, &mut drain).await.is_err(), "the request is still in flight");
    assert_eq!(get(ingress.http_addr(), &host(&shop)).await?.body, "2", "others are served meanwhile");

    old.release();
    assert_eq!(client.answer().await?.body, "1", "the request ends where it began");
    let report = timeout(SOON, drain).await???;
    assert_eq!(report, DrainReport { finished: 1, ..DrainReport::default() });
    Ok(())
}

pub(super) async fn a_drain_cuts_what_is_left_at_its_deadline(
    ingress: &dyn Ingress,
    caps: IngressCaps,
) -> ContractResult {
    let shop = app("shop")?;
    let old = Upstream::start(&shop, 1).await?;
    ingress.apply(state(1, vec![service(&shop, vec![old.backend.clone()])?])).await?;
    old.hold();
    let mut client = Client::connect(ingress.http_addr()).await?;
    client.ask(&host(&shop)).await?;
    timeout(SOON, old.asked(1)).await??;

    ingress.apply(state(2, vec![service(&shop, vec![])?])).await?;
    let begin = Instant::now();
    let report = timeout(SOON, ingress.drain(std::slice::from_ref(&old.backend.unit), A_WHILE)).await??;
    assert!(begin.elapsed() >= A_WHILE, "the request had its time");
    assert_eq!(report, DrainReport { cut: 1, ..DrainReport::default() });
    if caps.has(EdgeFeature::Cut) {
        // An error page or a closed connection: anything but an answer that looks whole.
        let answer = client.answer().await;
        assert!(!matches!(&answer, Ok(answer) if answer.status < 500), "{answer:?}");
    } else {
        // It ends with its unit.
        old.release();
        assert_eq!(client.answer().await?.body, "1");
    }
    Ok(())
}
