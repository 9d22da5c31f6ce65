//! What an app and a client get to see of each other's heads.

use std::io::Result;

use super::http2::client::{Client, with};
use super::support::*;

#[tokio::test]
async fn the_app_learns_who_asked_and_a_client_cannot_lie_about_it() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client
        .send(
            "GET http://app.test/a?b HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n\
             X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX_Real_Ip: 6.6.6.6\r\n\r\n",
        )
        .await?;
    let seen = client.response().await?.text();
    assert!(!seen.contains("6.6.6.6") && !seen.contains("evil"), "{seen}");
    for line in [
        "GET /a?b HTTP/1.1",
        "Host: app.test",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: app.test",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=\"app.test\";proto=http",
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{line} in {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxy_in_front_is_continued() -> Result<()> {
    let app = Upstream::named("app").await?;
    let trusted = parsed("127.0.0.0/8")?;
    let proxy = start(nd_proxy::Settings { trusted_proxies: vec![trusted], ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n").await?;
    let seen = client.response().await?.text();
    assert!(seen.contains("X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n"), "{seen}");
    assert!(seen.contains("X-Forwarded-Proto: https\r\n"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn fields_meant_for_one_hop_are_removed_in_both_directions() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.message(Kind::Request).await?.head;
            wire.send(format!(
                "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nUpgrade: h2c\r\n\
                 Proxy-Connection: x\r\nX-End: 1\r\nContent-Length: {}\r\n\r\n{head}",
                head.len()
            ))
            .await?;
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client
        .send(
            "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: X-Client-Hop, Upgrade, HTTP2-Settings\r\nX-Client-Hop: 1\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTE: trailers\r\nKeep-Alive: 1\r\nCookie: end=1\r\n\r\n",
        )
        .await?;
    let answer = client.response().await?;
    for name in ["connection", "x-hop", "keep-alive", "upgrade", "proxy-connection"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!(answer.field("x-end").as_deref(), Some("1"));
    let seen = answer.text().to_ascii_lowercase();
    for name in ["x-client-hop", "upgrade", "http2-settings", "te:", "keep-alive", "connection"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
    assert!(seen.contains("cookie: end=1"));
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let answer = h2.ask(with("GET", "http://app.test/", &[("te", "trailers")]), b"").await?;
    for name in ["connection", "x-hop", "keep-alive", "upgrade", "proxy-connection"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    let seen = answer.text().to_ascii_lowercase();
    assert!(answer.field("x-end") == Some("1") && !seen.contains("te:"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn a_request_id_goes_to_the_app_and_back() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: given-1\r\n\r\n").await?;
    let answer = client.response().await?;
    assert_eq!(answer.fields("x-request-id"), ["given-1"]);
    assert!(answer.text().contains("X-Request-Id: given-1\r\n"));
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: \"<script>\r\n\r\n").await?;
    let answer = client.response().await?;
    let id = answer.field("x-request-id").unwrap_or_default();
    assert!(id.len() == 20 && answer.text().contains(&format!("X-Request-Id: {id}\r\n")), "{id}");
    Ok(())
}

#[tokio::test]
async fn a_browser_gets_a_page_and_everyone_else_a_line() -> Result<()> {
    let proxy = start(settings())?;
    let stopped = |service: &mut nd_types::Service| service.availability = nd_types::Availability::Stopped;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[]).with(stopped)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let plain = client.get("/").await?;
    assert!(plain.text().starts_with("503 Service Unavailable: app: the app is stopped"), "{}", plain.text());
    assert!(plain.field("retry-after").is_some());
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nAccept: text/html,*/*\r\n\r\n").await?;
    let page = client.response().await?;
    assert_eq!(page.field("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let id = page.field("x-request-id").unwrap_or_default();
    assert!(
        page.text().contains("<b>app</b>: the app is stopped") && page.text().contains(&id),
        "{}",
        page.text()
    );
    client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    assert_eq!(client.message(Kind::Bodiless).await?.status(), 503);
    assert_eq!(client.get("/").await?.status(), 503);
    Ok(())
}

#[tokio::test]
async fn connect_is_refused() -> Result<()> {
    let proxy = start(settings())?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 405);
    Ok(())
}
