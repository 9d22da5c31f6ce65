//! What stands in front of an app: maintenance, and a pause that is part of the table.

use std::io::{Error, Result};
use std::time::Duration;

use nd_types::{Availability, Gate, Timestamp};

use super::support::*;

fn state(generation: u64, app: &Upstream, gate: Gate) -> State {
    State::new(generation).app("app", "aaaaaa", &[app.address]).with(|service| service.gate = gate)
}

#[tokio::test]
async fn under_maintenance_visitors_are_told_when_to_come_back() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let maintenance = Gate::Maintenance { retry_after_s: 120 };
    apply(&proxy, state(1, &app, maintenance)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let answer = client.get("/").await?;
    assert_eq!((answer.status(), answer.field("retry-after").as_deref()), (503, Some("120")));
    assert!(answer.text().contains("under maintenance"), "{}", answer.text());
    let stopped = state(2, &app, maintenance).with(|service| {
        service.availability = Availability::Stopped;
        service.backends.clear();
    });
    apply(&proxy, stopped).await?;
    assert_eq!(client.get("/").await?.field("retry-after").as_deref(), Some("120"), "whether it runs or not");
    apply(&proxy, state(3, &app, Gate::Open)).await?;
    assert_eq!((client.get("/").await?.status(), app.requests()), (200, 1));
    Ok(())
}

#[tokio::test]
async fn requests_wait_through_a_pause_and_are_answered_when_it_is_taken_away() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let until = Timestamp::now().checked_add(Duration::from_secs(60)).map_err(Error::other)?;
    apply(&proxy, state(1, &app, Gate::Paused { until })).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until_held(&proxy).await?;
    assert_eq!(app.connections(), 0);
    apply(&proxy, state(2, &app, Gate::Open)).await?;
    assert_eq!(client.response().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_pause_that_nobody_takes_away_ends_by_itself() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let until = Timestamp::now().checked_add(Duration::from_millis(100)).map_err(Error::other)?;
    apply(&proxy, state(1, &app, Gate::Paused { until })).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.status(), 200);
    Ok(())
}

async fn until_held(proxy: &nd_proxy::Proxy) -> Result<()> {
    until("the request is held", || proxy.stats().apps.values().any(|app| app.in_flight == 1)).await
}
