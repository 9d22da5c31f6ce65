//! Apps that refuse, break off, hang or talk nonsense.

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::*;

const POST: &str = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello";

/// An app whose connections die at the second request, before any answer.
async fn breaks_off_when_reused() -> Result<Upstream> {
    Upstream::raw(|mut wire, number| async move {
        wire.message(Kind::Request).await?;
        wire.send(ok(&number.to_string())).await?;
        wire.message(Kind::Request).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn a_request_that_met_a_dying_connection_is_sent_again() -> Result<()> {
    let app = breaks_off_when_reused().await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for n in 0..5 {
        assert_eq!(client.get("/").await?.text(), n.to_string());
    }
    assert_eq!(proxy.stats().apps.values().map(|app| app.retries).sum::<u64>(), 4);
    Ok(())
}

#[tokio::test]
async fn a_request_that_must_not_be_doubled_is_not_sent_again() -> Result<()> {
    let app = breaks_off_when_reused().await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send(POST).await?;
    assert_eq!(client.response().await?.text(), "0");
    client.send(POST).await?;
    let answer = client.response().await?;
    assert_eq!(answer.status(), 502);
    assert!(
        answer.text().contains("app: the app closed the connection without an answer"),
        "{}",
        answer.text()
    );
    assert_eq!((app.connections(), client.get("/").await?.status()), (1, 200));
    Ok(())
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used_for_a_post() -> Result<()> {
    let (closed, mut closes) = tokio::sync::mpsc::unbounded_channel();
    let app = Upstream::raw(move |mut wire, number| {
        let closed = closed.clone();
        async move {
            wire.message(Kind::Request).await?;
            wire.send(ok(&number.to_string())).await?;
            // On loopback the other side has the close as soon as it was made.
            drop(wire);
            closed.send(()).map_err(std::io::Error::other)
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for n in 0..20 {
        client.send(POST).await?;
        assert_eq!(client.response().await?.text(), n.to_string());
        tokio::time::timeout(Duration::from_secs(10), closes.recv())
            .await?
            .ok_or(std::io::ErrorKind::BrokenPipe)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_app_that_always_breaks_off_is_asked_twice_and_no_more() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move { wire.message(Kind::Request).await.map(drop) }).await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.status(), 502);
    assert_eq!(app.connections(), 2);
    Ok(())
}

#[tokio::test]
async fn an_instance_that_refuses_is_passed_over() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[free_port().await?, app.address])).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..10 {
        client.send(POST).await?;
        assert_eq!(client.response().await?.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn nonsense_is_answered_with_502_and_silence_with_504() -> Result<()> {
    for (answer, expected) in [
        ("SSH-2.0-OpenSSH\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nbroken\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 502),
        ("", 504),
    ] {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(answer).await?;
            wire.rest().await.map(drop)
        })
        .await?;
        let proxy = start(settings())?;
        let state = State::new(1).app("app", "aaaaaa", &[app.address]);
        apply(&proxy, state.limits(|l| l.response_header_timeout = Duration::from_millis(200))).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        let page = client.get("/").await?;
        assert_eq!(page.status(), expected, "{answer:?}");
        assert!(!page.text().contains("127.0.0.1") && !page.text().contains("aaaaaa"), "{}", page.text());
    }
    Ok(())
}

#[tokio::test]
async fn an_app_hears_within_two_seconds_that_its_client_is_gone() -> Result<()> {
    for answer in
        ["", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"]
    {
        let gone = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&gone);
        let app = Upstream::raw(move |mut wire, _| {
            let told = Arc::clone(&told);
            async move {
                wire.message(Kind::Request).await?;
                wire.send(answer).await?;
                wire.rest().await?;
                told.store(true, Ordering::SeqCst);
                Ok(())
            }
        })
        .await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        until("the app has the request", || app.requests() == 1).await?;
        drop(client);
        let start = std::time::Instant::now();
        until("the app has heard", || gone.load(Ordering::SeqCst)).await?;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_has_finished_sending_still_gets_its_answer() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    client.finish().await?;
    assert_eq!(client.response().await?.status(), 200);
    Ok(())
}
