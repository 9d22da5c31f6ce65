//! How much of an app its clients may take up: requests at once, and bytes in a second.

use std::io::Result;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nd_types::{Concurrency, ServiceLimits};
use tokio::sync::Semaphore;

use super::http2::client::{Client, get, post, whole};
use super::support::*;

/// An app that answers one request for each permit.
async fn on_demand(go: &Arc<Semaphore>) -> Result<Upstream> {
    let go = Arc::clone(go);
    Upstream::raw(move |mut wire, _| {
        let go = Arc::clone(&go);
        async move {
            loop {
                wire.message(Kind::Request).await?;
                go.acquire().await.map_err(std::io::Error::other)?.forget();
                wire.send(ok("done")).await?;
            }
        }
    })
    .await
}

fn at_once(requests: u32, queue: u32, wait: Duration) -> impl FnOnce(&mut ServiceLimits) {
    move |limits| {
        limits.concurrency = NonZeroU32::new(requests).map(|requests| Concurrency { requests, queue, wait });
    }
}

#[tokio::test]
async fn beyond_its_limit_requests_queue_and_then_get_503() -> Result<()> {
    let go = Arc::new(Semaphore::new(0));
    let app = on_demand(&go).await?;
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    apply(&proxy, state.limits(at_once(2, 2, Duration::from_secs(60)))).await?;
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let mut clients = Vec::new();
    let (first, _) = h2.send(get("/"), true).await?;
    until("it is with the app", || app.connections() == 1).await?;
    for _ in 0..3 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        clients.push(client);
    }
    until("two are with the app", || app.connections() == 2).await?;
    let in_flight = || proxy.stats().apps.values().map(|app| app.in_flight).sum::<u64>();
    until("all are in", || in_flight() == 4).await?;
    let refused = Wire::connect(proxy.http_addr()).await?.get("/").await?;
    assert_eq!((refused.status(), refused.field("retry-after").as_deref()), (503, Some("1")));
    assert!(refused.text().contains("too many requests at once"), "{}", refused.text());
    assert_eq!(h2.get("/").await?.status(), 503);
    assert_eq!(app.connections(), 2);
    go.add_permits(4);
    assert_eq!(whole(first).await?.text(), "done");
    for client in &mut clients {
        assert_eq!(client.response().await?.text(), "done");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_queues_for_too_long_gets_503_and_a_new_limit_counts_who_is_inside() -> Result<()> {
    let go = Arc::new(Semaphore::new(0));
    let app = on_demand(&go).await?;
    let proxy = start(settings())?;
    let limited = |generation, requests| {
        let state = State::new(generation).app("app", "aaaaaa", &[app.address]);
        state.limits(at_once(requests, 9, Duration::from_millis(100)))
    };
    apply(&proxy, limited(1, 1)).await?;
    let mut inside = Wire::connect(proxy.http_addr()).await?;
    inside.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("it is with the app", || app.connections() == 1).await?;
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 503);
    apply(&proxy, limited(2, 2)).await?;
    let mut second = Wire::connect(proxy.http_addr()).await?;
    second.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("there is room for another", || app.connections() == 2).await?;
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 503);
    go.add_permits(2);
    assert_eq!((inside.response().await?.status(), second.response().await?.status()), (200, 200));
    Ok(())
}

#[tokio::test]
async fn an_open_websocket_takes_no_place() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        let request = wire.message(Kind::Request).await?;
        if request.field("upgrade").is_none() {
            return wire.send(ok("page")).await;
        }
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    apply(&proxy, state.limits(at_once(1, 0, Duration::from_secs(1)))).await?;
    let mut socket = Wire::connect(proxy.http_addr()).await?;
    let upgrade = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.send(upgrade).await?;
    assert!(socket.through("\r\n\r\n").await?.starts_with("HTTP/1.1 101"));
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.text(), "page");
    Ok(())
}

const BODY: usize = 300_000;

/// An app with a long answer; one that is asked to take a body says how long it was.
async fn long() -> Result<Upstream> {
    Upstream::raw(|mut wire, _| async move {
        loop {
            let request = wire.message(Kind::Request).await?;
            let body =
                if request.body.is_empty() { "x".repeat(BODY) } else { request.body.len().to_string() };
            wire.send(ok(&body)).await?;
        }
    })
    .await
}

#[tokio::test]
async fn answers_and_request_bodies_share_a_bandwidth_each() -> Result<()> {
    let app = long().await?;
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    let limits = |limits: &mut ServiceLimits| limits.bandwidth = NonZeroU64::new(1_000_000);
    apply(&proxy, state.limits(limits)).await?;
    let began = Instant::now();
    let down = async {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        let length = client.response().await?.body.len();
        Result::Ok((length, began.elapsed()))
    };
    let down_h2 = async {
        let mut client = Client::connect(proxy.http_addr()).await?;
        let length = client.get("/").await?.body.len();
        Result::Ok((length, began.elapsed()))
    };
    let up = async {
        let mut client = Client::connect(proxy.http_addr()).await?;
        let (answer, mut stream) = client.send(post(), false).await?;
        stream.send_data(vec![b'x'; BODY].into(), true).map_err(std::io::Error::other)?;
        let text = whole(answer).await?.text();
        Result::Ok((text.parse().unwrap_or(0), began.elapsed()))
    };
    let (down, down_h2, up) = tokio::join!(down, down_h2, up);
    let ((down, first), (down_h2, second), (up, alone)) = (down?, down_h2?, up?);
    assert_eq!([down, down_h2, up], [BODY; 3]);
    let last = first.max(second);
    // 600,000 bytes down, less the burst and the last piece; 300,000 up.
    assert!(last >= Duration::from_millis(380) && last < Duration::from_secs(5), "{last:?}");
    assert!(alone >= Duration::from_millis(120) && alone < last, "{alone:?} {last:?}");
    let small = Instant::now();
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[app.address])).await?;
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.body.len(), BODY);
    assert!(small.elapsed() < Duration::from_millis(250), "no limit any more: {:?}", small.elapsed());
    Ok(())
}
