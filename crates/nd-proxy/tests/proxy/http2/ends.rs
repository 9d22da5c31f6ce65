//! How requests and connections end: clients that leave, units that are emptied, the proxy's own end.

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nd_proxy::DrainReport;
use tokio::sync::Notify;

use super::client::{Client, get, whole};
use crate::support::*;

/// An app that answers when it is told to.
async fn on_demand(go: &Arc<Notify>) -> Result<Upstream> {
    let go = Arc::clone(go);
    Upstream::raw(move |mut wire, _| {
        let go = Arc::clone(&go);
        async move {
            loop {
                wire.message(Kind::Request).await?;
                go.notified().await;
                wire.send(ok("done")).await?;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_app_hears_within_two_seconds_that_its_client_is_gone() -> Result<()> {
    for (answer, whole_connection) in [
        ("", false),
        ("", true),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", false),
    ] {
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
        let mut client = Client::connect(proxy.http_addr()).await?;
        let (_answer, mut stream) = client.send(get("/"), true).await?;
        until("the app has the request", || app.connections() == 1).await?;
        let start = std::time::Instant::now();
        if whole_connection {
            client.kill().await;
        } else {
            stream.send_reset(h2::Reason::CANCEL);
        }
        until("the app has heard", || gone.load(Ordering::SeqCst)).await?;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_request_finishes_on_its_unit_while_the_next_goes_to_the_new_one() -> Result<()> {
    let go = Arc::new(Notify::new());
    let (old, new) = (on_demand(&go).await?, Upstream::named("new").await?);
    let proxy = start_for(&old).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, _) = client.send(get("/"), true).await?;
    until("the old app has the request", || old.connections() == 1).await?;
    apply(&proxy, State::new(2).app("app", "bbbbbb", &[new.address])).await?;
    assert!(client.get("/").await?.text().starts_with("new\n"));
    let units = [unit("app", "aaaaaa", 1)?];
    let drain = proxy.drain(&units, Duration::from_secs(30));
    tokio::pin!(drain);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut drain).await.is_err());
    go.notify_one();
    assert_eq!(within("the drain", drain).await?, DrainReport { finished: 1, ..DrainReport::default() });
    assert_eq!(whole(answer).await?.text(), "done");
    Ok(())
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_alone() -> Result<()> {
    let (old, new) = (on_demand(&Arc::new(Notify::new())).await?, Upstream::named("new").await?);
    let proxy = start_for(&old).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, _) = client.send(get("/"), true).await?;
    until("the old app has the request", || old.connections() == 1).await?;
    apply(&proxy, State::new(2).app("app", "bbbbbb", &[new.address])).await?;
    let report = proxy.drain(&[unit("app", "aaaaaa", 1)?], Duration::from_millis(100)).await;
    assert_eq!(report, DrainReport { cut: 1, ..DrainReport::default() });
    let answer = whole(answer).await?;
    assert!(answer.status() == 503 && answer.text().contains("being replaced"), "{}", answer.text());
    assert!(client.get("/").await?.text().starts_with("new\n"), "the connection lives on");
    Ok(())
}

#[tokio::test]
async fn at_the_end_clients_are_told_and_requests_finish() -> Result<()> {
    let go = Arc::new(Notify::new());
    let app = on_demand(&go).await?;
    let proxy = start_for(&app).await?;
    let (mut busy, idle) =
        (Client::connect(proxy.http_addr()).await?, Client::connect(proxy.http_addr()).await?);
    let (answer, _) = busy.send(get("/"), true).await?;
    until("the app has the request", || app.connections() == 1).await?;
    let finish = async {
        idle.ended().await?;
        busy.told_to_leave().await?;
        go.notify_one();
        assert_eq!(whole(answer).await?.text(), "done");
        busy.ended().await
    };
    let (_, finished) =
        within("the end", async { tokio::join!(proxy.shutdown(Duration::from_secs(20)), finish) }).await?;
    finished
}

#[tokio::test]
async fn what_hangs_at_the_end_is_cut_after_the_grace_time() -> Result<()> {
    let app = on_demand(&Arc::new(Notify::new())).await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, _) = client.send(get("/"), true).await?;
    until("the app has the request", || app.connections() == 1).await?;
    within("the end", proxy.shutdown(Duration::from_millis(200))).await?;
    assert!(within("the cut", answer).await?.is_err());
    client.ended().await
}

#[tokio::test]
async fn an_idle_connection_is_ended() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings { keep_alive_timeout: Duration::from_millis(100), ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let mut used = Client::connect(proxy.http_addr()).await?;
    assert_eq!(used.get("/").await?.status(), 200);
    used.ended().await?;
    Client::connect(proxy.http_addr()).await?.ended().await?;
    until("no connection is left", || proxy.stats().connections == 0).await
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000)))
            .await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start(Settings { send_timeout: Duration::from_millis(200), ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let answer = within("the head", client.send(get("/"), true).await?.0).await?.map_err(Error::other)?;
    let mut body = answer.into_body();
    let mut read = 0;
    let end = loop {
        match within("the end", body.data()).await? {
            Some(Ok(piece)) => read += piece.len(),
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(_))) && read <= 65_535, "{end:?} after {read} bytes");
    Ok(())
}

#[tokio::test]
async fn streams_leave_room_for_everyone_else() -> Result<()> {
    let go = Arc::new(Notify::new());
    let app = on_demand(&go).await?;
    let proxy = start(Settings { workers: 1, max_connections: 8, ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(client.send(get("/"), true).await?.0);
    }
    let (mut taken, mut refused) = (Vec::new(), 0);
    until("the app has all that were taken", || app.requests() == 14).await?;
    for mut answer in answers {
        match at_once(&mut answer).await {
            None => taken.push(answer),
            Some(Err(error)) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => refused += 1,
            Some(other) => return Err(Error::other(format!("{other:?}"))),
        }
    }
    assert_eq!((taken.len(), refused), (14, 26));
    let mut other = Client::connect(proxy.http_addr()).await?;
    let (answer, _) = other.send(get("/"), true).await?;
    until("the app has another one's as well", || app.requests() == 15).await?;
    go.notify_waiters();
    for answer in taken.into_iter().chain([answer]) {
        assert_eq!(whole(answer).await?.text(), "done");
    }
    // Their places are free a moment after their answers: until then the next one is refused untouched.
    let answer = loop {
        let (mut answer, _) = client.send(get("/"), true).await?;
        match at_once(&mut answer).await {
            None => break answer,
            Some(Err(error)) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => {}
            Some(other) => return Err(Error::other(format!("{other:?}"))),
        }
    };
    until("the app has the next one", || app.requests() == 16).await?;
    go.notify_waiters();
    assert_eq!(whole(answer).await?.text(), "done");
    Ok(())
}

/// What is there already.
async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(10), future).await.ok()
}
