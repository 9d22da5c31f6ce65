//! Emptying units that have left the table, and ending the proxy.

use std::io::Result;
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::DrainReport;
use tokio::sync::Notify;

use super::support::*;

/// An app that answers when it is told to.
async fn on_demand(go: &Arc<Notify>) -> Result<Upstream> {
    let go = Arc::clone(go);
    Upstream::raw(move |mut wire, _| {
        let go = Arc::clone(&go);
        async move {
            wire.message(Kind::Request).await?;
            go.notified().await;
            wire.send(ok("done")).await?;
            wire.rest().await.map(drop)
        }
    })
    .await
}

#[tokio::test]
async fn draining_waits_for_requests_in_flight_and_for_nothing_else() -> Result<()> {
    let go = Arc::new(Notify::new());
    let (old, new) = (on_demand(&go).await?, Upstream::named("new").await?);
    let proxy = start_for(&old).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the old app has the request", || old.requests() == 1).await?;
    apply(&proxy, State::new(2).app("app", "bbbbbb", &[new.address])).await?;
    let units = [unit("app", "aaaaaa", 1)?];
    let drain = proxy.drain(&units, Duration::from_secs(30));
    tokio::pin!(drain);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut drain).await.is_err());
    go.notify_one();
    let report = within("the drain", drain).await?;
    assert_eq!(report, DrainReport { finished: 1, ..DrainReport::default() });
    assert_eq!(client.response().await?.text(), "done");
    assert!(client.get("/").await?.text().starts_with("new\n"), "the connection lives on");
    assert_eq!(proxy.drain(&units, Duration::from_secs(30)).await, DrainReport::default());
    Ok(())
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_and_counted() -> Result<()> {
    let old = on_demand(&Arc::new(Notify::new())).await?;
    let proxy = start_for(&old).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the old app has the request", || old.requests() == 1).await?;
    apply(&proxy, State::new(2).app("app", "bbbbbb", &[])).await?;
    let report = proxy.drain(&[unit("app", "aaaaaa", 1)?], Duration::from_millis(100)).await;
    assert_eq!(report, DrainReport { cut: 1, ..DrainReport::default() });
    let answer = client.response().await?;
    assert!(answer.status() == 503 && answer.text().contains("being replaced"), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_long_download_goes_on_while_the_app_is_replaced() -> Result<()> {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let old = Upstream::raw(move |mut wire, _| {
        let wait = Arc::clone(&wait);
        async move {
            wire.message(Kind::Request).await?;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await?;
            wait.notified().await;
            wire.send("world").await
        }
    })
    .await?;
    let proxy = start_for(&old).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    within("the first half", client.through("hello")).await??;
    apply(&proxy, State::new(2)).await?;
    go.notify_one();
    assert_eq!(within("the second half", client.exactly(5)).await??, b"world");
    Ok(())
}

#[tokio::test]
async fn at_the_end_clients_are_told_to_close_and_requests_finish() -> Result<()> {
    let go = Arc::new(Notify::new());
    let app = on_demand(&go).await?;
    let proxy = start_for(&app).await?;
    let mut busy = Wire::connect(proxy.http_addr()).await?;
    busy.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the app has the request", || app.requests() == 1).await?;
    let mut idle = Wire::connect(proxy.http_addr()).await?;
    let address = proxy.http_addr();
    let finish = async {
        idle.closed().await?;
        go.notify_one();
        let answer = busy.response().await?;
        assert_eq!((answer.text().as_str(), answer.field("connection").as_deref()), ("done", Some("close")));
        busy.closed().await
    };
    let (_, finished) =
        within("the end", async { tokio::join!(proxy.shutdown(Duration::from_secs(20)), finish) }).await?;
    finished?;
    assert!(Wire::connect(address).await.is_err());
    assert!(proxy.apply(State::new(9).build()?).await.is_err());
    Ok(())
}

#[tokio::test]
async fn what_hangs_at_the_end_is_cut_after_the_grace_time() -> Result<()> {
    let app = on_demand(&Arc::new(Notify::new())).await?;
    let proxy = start_for(&app).await?;
    let mut busy = Wire::connect(proxy.http_addr()).await?;
    busy.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the app has the request", || app.requests() == 1).await?;
    within("the end", proxy.shutdown(Duration::from_millis(200))).await?;
    busy.closed().await
}
