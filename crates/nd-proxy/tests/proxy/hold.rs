//! Requests that wait: for an instance, or for the end of a pause.

use std::io::Result;
use std::time::Duration;

use nd_types::{AppName, Availability};

use super::http2::client::{Client, get, whole};
use super::support::*;

fn held(proxy: &nd_proxy::Proxy) -> u64 {
    proxy.stats().apps.values().map(|app| app.held).sum()
}

#[tokio::test]
async fn a_request_waits_unread_for_an_instance_and_is_answered_by_it() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[])).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello").await?;
    until("the request is held", || held(&proxy) == 1).await?;
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[app.address])).await?;
    assert!(client.response().await?.text().ends_with("hello"));
    assert_eq!(held(&proxy), 0);
    Ok(())
}

#[tokio::test]
async fn a_crash_is_bridged_even_if_nobody_tells_the_proxy() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.status(), 200);
    app.kill().await;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello").await?;
    until("the request is held", || held(&proxy) == 1).await?;
    let _again = Upstream::raw_at(app.address, |mut wire, _| async move {
        let body = wire.message(Kind::Request).await?.text();
        wire.send(ok(&body)).await
    })
    .await?;
    assert_eq!(client.response().await?.text(), "hello");
    Ok(())
}

#[tokio::test]
async fn waiting_ends_with_503_when_it_takes_too_long_or_too_many_wait() -> Result<()> {
    let proxy = start(settings())?;
    let limits =
        |l: &mut nd_types::ServiceLimits| (l.hold, l.hold_requests) = (Duration::from_millis(300), 2);
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[]).limits(limits)).await?;
    let mut clients = Vec::new();
    for n in 1..=2 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        until("the request is held", || held(&proxy) == n).await?;
        clients.push(client);
    }
    let third = Wire::connect(proxy.http_addr()).await?.get("/").await?;
    assert!(
        third.status() == 503 && third.text().contains("too many requests are waiting"),
        "{}",
        third.text()
    );
    for mut client in clients {
        let answer = client.response().await?;
        assert!(answer.status() == 503 && answer.text().contains("no instance of the app is ready"));
        assert_eq!(answer.field("retry-after").as_deref(), Some("5"));
    }
    Ok(())
}

#[tokio::test]
async fn a_waiting_request_learns_at_once_that_the_app_has_failed() -> Result<()> {
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[])).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the request is held", || held(&proxy) == 1).await?;
    let failed =
        |s: &mut nd_types::Service| s.availability = Availability::Failed { reason: "it crashes".into() };
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[]).with(failed)).await?;
    assert!(client.response().await?.text().contains("503 Service Unavailable: app: it crashes"));
    Ok(())
}

#[tokio::test]
async fn a_paused_app_gets_no_new_request_until_it_is_resumed() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let name: AppName = parsed("app")?;
    proxy.pause(&name, Duration::from_secs(30)).await;
    let mut clients = Vec::new();
    for n in 1..=4 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        until("the request is held", || held(&proxy) == n).await?;
        clients.push(client);
    }
    assert_eq!(app.requests(), 0);
    proxy.resume(&name).await;
    for mut client in clients {
        assert_eq!(client.response().await?.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_pause_ends_by_itself() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    proxy.pause(&parsed("app")?, Duration::from_millis(100)).await;
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 200);
    Ok(())
}

/// An app that takes requests and never answers them.
async fn silent() -> Result<Upstream> {
    Upstream::raw(|mut wire, _| async move {
        loop {
            wire.message(Kind::Request).await?;
        }
    })
    .await
}

#[tokio::test]
async fn requests_in_flight_on_the_last_instance_when_it_dies_are_answered_by_the_next_one() -> Result<()> {
    let app = silent().await?;
    let proxy = start_for(&app).await?;
    let mut clients = Vec::new();
    // More than the retry budget would pay for.
    for _ in 0..100 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        clients.push(client);
    }
    let mut post = Wire::connect(proxy.http_addr()).await?;
    post.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n").await?;
    until("all of them are with the app", || app.connections() == 101).await?;
    app.kill().await;
    assert_eq!(post.response().await?.status(), 502, "it may have been carried out");
    until("the others are held", || held(&proxy) == 100).await?;
    let _again = Upstream::raw_at(app.address, |mut wire, _| async move {
        loop {
            wire.message(Kind::Request).await?;
            wire.send(ok("again")).await?;
        }
    })
    .await?;
    for client in &mut clients {
        assert_eq!(client.response().await?.text(), "again");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_come_back_is_waited_for_ten_seconds_and_asked_by_one_at_a_time()
-> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(nd_proxy::Settings { workers: 1, ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    app.kill().await;
    let began = std::time::Instant::now();
    let mut clients = Vec::new();
    for n in 1..=50 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        until("it is held", || held(&proxy) == n).await?;
        clients.push(client);
    }
    let all_came_by = began.elapsed();
    for client in &mut clients {
        let answer = tokio::time::timeout(DEADLINE * 2, client.message(Kind::Response)).await??;
        assert_eq!((answer.status(), answer.field("retry-after").as_deref()), (503, Some("5")));
        let waited = began.elapsed();
        let at_most = all_came_by + Duration::from_secs(13);
        assert!(waited >= Duration::from_secs(10) && waited < at_most, "{waited:?}, of {at_most:?}");
    }
    Ok(())
}

#[tokio::test]
async fn streams_of_http2_wait_for_the_next_instance_as_well() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.status(), 200);
    app.kill().await;
    let (first, _) = client.send(get("/first"), true).await?;
    let (second, _) = client.send(get("/second"), true).await?;
    until("both are held", || held(&proxy) == 2).await?;
    let next = Upstream::named("next").await?;
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[next.address])).await?;
    for answer in [first, second] {
        assert!(whole(answer).await?.text().starts_with("next"));
    }
    Ok(())
}
