//! What is too much, too long or too slow.

use std::io::Result;
use std::time::Duration;

use nd_proxy::Settings;

use super::support::*;

async fn limited(app: &Upstream, settings: Settings) -> Result<nd_proxy::Proxy> {
    let proxy = start(settings)?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address]).limits(|l| l.body_bytes = 10)).await?;
    Ok(proxy)
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_the_app_hears_of_it() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = limited(&app, settings()).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n0123456789").await?;
    assert_eq!(client.response().await?.status(), 200);
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 11\r\n\r\n01234567890").await?;
    let answer = client.response().await?;
    assert_eq!(answer.status(), 413);
    assert!(answer.text().contains("app: the request body is larger than 10 bytes"), "{}", answer.text());
    assert_eq!(app.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_chunked_body_is_cut_at_the_limit() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = limited(&app, settings()).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client
        .send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n")
        .await?;
    client.send("6\r\n012345\r\n0\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 413);
    assert_eq!(app.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn an_endless_head_is_refused() -> Result<()> {
    let proxy = start(settings())?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\nA: {}\r\n", "x".repeat(70_000))).await?;
    assert_eq!(client.response().await?.status(), 431);
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{}\r\n", "A: b\r\n".repeat(150))).await?;
    assert_eq!(client.response().await?.status(), 431);
    Ok(())
}

#[tokio::test]
async fn a_head_that_trickles_in_is_given_up() -> Result<()> {
    let proxy = start(Settings { header_read_timeout: Duration::from_millis(100), ..settings() })?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: ").await?;
    assert_eq!(client.response().await?.status(), 408);
    client.closed().await
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy =
        limited(&app, Settings { keep_alive_timeout: Duration::from_millis(100), ..settings() }).await?;
    let mut fresh = Wire::connect(proxy.http_addr()).await?;
    let mut used = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(used.get("/").await?.status(), 200);
    fresh.closed().await?;
    used.closed().await
}

#[tokio::test]
async fn an_upload_that_pauses_is_given_up() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy =
        limited(&app, Settings { body_idle_timeout: Duration::from_millis(100), ..settings() }).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n01234").await?;
    assert_eq!(client.response().await?.status(), 408);
    Ok(())
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away_with_an_answer() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = limited(&app, Settings { workers: 1, max_connections: 8, ..settings() }).await?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        assert_eq!(client.get("/").await?.status(), 200);
        client.send("GET / HT").await?; // none of them is idle
        clients.push(client);
    }
    let mut ninth = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(ninth.response().await?.status(), 503);
    assert_eq!(proxy.stats().turned_away, 1);
    drop(clients.pop());
    until("a place is free", || proxy.stats().connections == 7).await?;
    let mut next = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(next.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn at_the_limit_whoever_has_been_idle_the_longest_makes_room() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = limited(&app, Settings { workers: 1, max_connections: 8, ..settings() }).await?;
    let address = proxy.http_addr();
    let mut first = Wire::connect(address).await?;
    assert_eq!(first.get("/").await?.status(), 200);
    let mut second = crate::http2::client::Client::connect(address).await?;
    assert_eq!(second.get("/").await?.status(), 200);
    let mut busy = Vec::new();
    for _ in 0..6 {
        let mut client = Wire::connect(address).await?;
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nab").await?;
        busy.push(client);
    }
    until("all of them are there", || proxy.stats().connections == 8).await?;
    // Whoever has asked a moment ago is not idle for long: newcomers are turned away until then.
    let newcomer = async || loop {
        let mut client = Wire::connect(address).await?;
        // Who is turned away may meet the end of the connection while asking.
        if client.get("/").await.is_ok_and(|answer| answer.status() == 200) {
            return Result::Ok(client);
        }
    };
    let mut third = within("room", newcomer()).await??;
    first.closed().await?;
    let mut fourth = within("room", newcomer()).await??;
    second.ended().await?;
    assert_eq!((third.get("/").await?.status(), fourth.get("/").await?.status()), (200, 200));
    for mut client in busy {
        client.send("cd").await?;
        assert_eq!(client.response().await?.status(), 200, "whoever is served is served on");
    }
    Ok(())
}

#[tokio::test]
async fn hundreds_of_slow_clients_do_not_slow_down_the_others() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = limited(&app, settings()).await?;
    let mut slow = Vec::new();
    for n in 0..450 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        match n % 3 {
            0 => client.send("GET / HTTP/1.1\r\nHo").await?,
            1 => client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\nx").await?,
            _ => client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n".repeat(20)).await?,
        }
        slow.push(client);
    }
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..20 {
        assert_eq!(client.get("/").await?.status(), 200);
    }
    Ok(())
}
