//! What apps and clients rely on, and what attackers try, beyond plain requests.

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::http2::client::{Client, with};
use super::support::*;

#[tokio::test]
async fn a_long_poll_is_answered_when_the_app_has_something_to_say() -> Result<()> {
    let news = Arc::new(Notify::new());
    let wait = Arc::clone(&news);
    let app = Upstream::raw(move |mut wire, _| {
        let wait = Arc::clone(&wait);
        async move {
            wire.message(Kind::Request).await?;
            wait.notified().await;
            wire.send(ok("news")).await
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut polls = Vec::new();
    for _ in 0..3 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET /poll HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        polls.push(client);
    }
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let (answer, _) = h2.send(with("GET", "http://app.test/poll", &[]), true).await?;
    until("all of them wait", || app.connections() == 4).await?;
    let [first, ..] = polls.as_mut_slice() else { return Ok(()) };
    let silence = tokio::time::timeout(Duration::from_millis(1500), first.through("\n")).await;
    assert!(silence.is_err(), "nothing is said meanwhile");
    news.notify_waiters();
    for mut client in polls {
        assert_eq!(client.response().await?.text(), "news");
    }
    assert_eq!(within("an answer", answer).await?.map_err(Error::other)?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_range_goes_through_untouched() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.message(Kind::Request).await?.head;
            assert!(head.contains("bytes=2-5,7-") && head.contains("\"v1\""), "{head}");
            let fields = "Content-Range: bytes 2-5/9\r\nAccept-Ranges: bytes\r\nETag: \"v1\"\r\n";
            wire.send(format!("HTTP/1.1 206 Partial Content\r\n{fields}Content-Length: 4\r\n\r\ncdef"))
                .await?;
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let lines = "Range: bytes=2-5,7-\r\nIf-Range: \"v1\"\r\nAccept-Encoding: gzip\r\n";
    client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n")).await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.text().as_str()), (206, "cdef"));
    assert_eq!(answer.field("content-range").as_deref(), Some("bytes 2-5/9"));
    assert_eq!(answer.field("etag").as_deref(), Some("\"v1\""));
    assert_eq!(answer.field("accept-ranges").as_deref(), Some("bytes"));
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let fields = [("range", "bytes=2-5,7-"), ("if-range", "\"v1\"")];
    let answer = h2.ask(with("GET", "http://app.test/", &fields), b"").await?;
    assert_eq!((answer.status(), answer.field("content-range")), (206, Some("bytes 2-5/9")));
    Ok(())
}

#[tokio::test]
async fn a_target_in_absolute_form_is_a_path_to_the_app() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (target, host, status) in [
        ("http://app.test/a?b", "app.test", 200),
        ("HTTP://APP.TEST/a?b", "app.test", 200),
        ("http://app.test:80/a?b", "app.test", 400),
        ("http://app.test@evil.test/a", "app.test", 400),
        ("http://evil.test/a", "app.test", 400),
        ("http://app.test/a", "evil.test", 400),
        ("ftp://app.test/a", "app.test", 400),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
        let answer = client.response().await?;
        let is_same_place = target.contains(":80/") && answer.status() == 200;
        assert!(answer.status() == status || is_same_place, "{target} for {host}: {}", answer.status());
        if answer.status() == 200 {
            assert!(answer.text().contains("\nGET /a?b HTTP/1.1\r\n"), "{}", answer.text());
        } else {
            client = Wire::connect(proxy.http_addr()).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn options_of_the_server_as_a_whole_are_asked_for_with_an_asterisk() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for target in ["*", "http://app.test"] {
        client.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: app.test\r\n\r\n")).await?;
        let text = client.response().await?.text();
        assert!(text.starts_with("app\nOPTIONS * HTTP/1.1\r\n"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn an_app_that_sends_what_is_no_answer_is_a_bad_gateway() -> Result<()> {
    for head in [
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nno",
        "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nno",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ] {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(head).await?;
            wire.rest().await.map(drop)
        })
        .await?;
        let proxy = start_for(&app).await?;
        assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 502, "{head:?}");
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        assert_eq!(h2.get("/").await?.status(), 502, "{head:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_with_an_underscore_hides_no_field() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let lines =
        "X_Forwarded_For: 6.6.6.6\r\nContent_Length: 9\r\nTransfer_Encoding: chunked\r\nX_Mine: kept\r\n";
    client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n")).await?;
    let seen = client.response().await?.text();
    for name in ["6.6.6.6", "Content_Length", "Transfer_Encoding"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
    assert!(seen.contains("X_Mine: kept"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn a_body_behind_an_answer_to_head_is_nobodys_answer() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        )
        .await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        let answer = within("an answer", client.message(Kind::Bodiless)).await??;
        assert_eq!(answer.field("content-length").as_deref(), Some("44"));
    }
    assert_eq!(app.connections(), 2, "a connection with more on it than was asked for is not used again");
    Ok(())
}
