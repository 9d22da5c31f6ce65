//! Requests and answers by their heads.

use std::io::Result;
use std::time::Duration;

use http::Request;

use super::client::{Client, get, post, to, whole, with};
use crate::support::*;

#[tokio::test]
async fn a_stream_is_a_request_like_any_other() -> Result<()> {
    let (app, other) = (Upstream::named("app").await?, Upstream::named("other").await?);
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).app("other", "aaaaaa", &[other.address]);
    apply(&proxy, state).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("x-forwarded-for", "6.6.6.6"), ("te", "trailers")];
    let answer = client.ask(with("GET", "http://app.test/x?y", &fields), b"").await?;
    let (text, id) = (answer.text(), answer.field("x-request-id").unwrap_or_default().to_owned());
    assert!(text.starts_with("app\nGET /x?y HTTP/1.1\r\nHost: app.test\r\n"), "{text}");
    for line in ["Cookie: a=1; b=2\r\n", "X-Forwarded-For: 127.0.0.1\r\n", &format!("X-Request-Id: {id}\r\n")]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("6.6.6.6") && !text.contains("te:"), "{text}");
    let answer = client.ask(to("GET", "http://other.test/"), b"").await?;
    assert!(answer.text().starts_with("other\n"), "{}", answer.text());
    let answer = client.ask(to("GET", "http://nobody.test/"), b"").await?;
    assert_eq!(answer.status(), 404);
    assert_eq!(proxy.stats().connections, 1);
    Ok(())
}

#[tokio::test]
async fn many_requests_at_once_share_one_connection() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let mut answers = Vec::new();
    for n in 0..300 {
        answers.push((n, client.send(get(&format!("/{n}")), true).await?.0));
    }
    for (n, answer) in answers {
        assert!(whole(answer).await?.text().starts_with(&format!("app\nGET /{n} ")));
    }
    assert_eq!((proxy.stats().connections, app.requests()), (1, 300));
    Ok(())
}

#[tokio::test]
async fn a_preface_that_comes_byte_by_byte_is_no_mistake() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        client.send([*byte]).await?;
        tokio::task::yield_now().await;
    }
    let settings = within("the server's SETTINGS", client.exactly(9)).await??;
    assert_eq!(settings.get(3..9), Some(&[4, 0, 0, 0, 0, 0][..]));
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("PR").await?;
    client.send("OPFIND / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    assert!(client.response().await?.text().starts_with("app\nPROPFIND / "));
    Ok(())
}

#[tokio::test]
async fn half_a_preface_is_given_up() -> Result<()> {
    let proxy = start(Settings { header_read_timeout: Duration::from_millis(100), ..settings() })?;
    for half in ["PRI * HT", "PRI * HTTP/2.0\r\n\r\nS"] {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send(half).await?;
        assert_eq!(client.response().await?.status(), 408);
        client.closed().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_http_1_refuses_is_refused() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let many: Vec<(String, String)> = (0..120).map(|n| (format!("x-{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let connect = Request::connect("app.test:443").body(()).map_err(std::io::Error::other)?;
    for (request, expected) in [
        (with("GET", "http://app.test/", &[("host", "other.test")]), 400),
        (with("GET", "http://app_.test%/", &[]), 400),
        (with("POST", "http://app.test/", &[("expect", "coffee")]), 417),
        (with("GET", "http://app.test/", &many), 431),
        (connect, 405),
    ] {
        let about = format!("{request:?}");
        assert_eq!(client.ask(request, b"").await?.status(), expected, "{about}");
    }
    assert_eq!((app.requests(), client.get("/").await?.status()), (0, 200));
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_the_connection_lives_on() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings { max_head_bytes: 8 * 1024, ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let long = "x".repeat(10_000);
    let answer = client.ask(with("GET", "http://app.test/", &[("a", &long)]), b"").await?;
    assert_eq!((answer.status(), app.requests()), (431, 0));
    assert_eq!(client.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_without_a_body_ends_with_its_head() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.message(Kind::Request).await?.head;
            let answer = match head.split(' ').nth(1) {
                Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n",
                Some("/304") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\n",
            };
            wire.send(answer).await?;
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let answer = client.ask(to("HEAD", "http://app.test/"), b"").await?;
    assert_eq!((answer.status(), answer.field("content-length"), answer.body.len()), (200, Some("7"), 0));
    assert!(answer.field("keep-alive").is_none() && answer.field("connection").is_none());
    assert_eq!(client.get("/204").await?.status(), 204);
    let answer = client.get("/304").await?;
    assert_eq!((answer.status(), answer.field("etag")), (304, Some("x")));
    Ok(())
}

#[tokio::test]
async fn interim_answers_pass() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        let head = wire.through("\r\n\r\n").await?;
        assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
        wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").await?;
        let body = wire.exactly(2).await?;
        wire.send(ok(&String::from_utf8_lossy(&body))).await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let fields = [("expect", "100-continue"), ("content-length", "2")];
    let (mut answer, mut body) = client.send(with("POST", "http://app.test/", &fields), false).await?;
    let mut interim = Vec::new();
    while interim.len() < 2 {
        let next = std::future::poll_fn(|cx| answer.poll_informational(cx));
        let next = within("an interim answer", next).await?.transpose().map_err(std::io::Error::other)?;
        interim.extend(next.map(|response| response.status().as_u16()));
    }
    assert_eq!(interim, [103, 100]);
    body.send_data("ok".into(), true).map_err(std::io::Error::other)?;
    assert_eq!(whole(answer).await?.text(), "ok");
    Ok(())
}

#[tokio::test]
async fn a_held_request_is_answered_by_the_instance_that_comes() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[])).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, mut body) = client.send(post(), false).await?;
    body.send_data("hello".into(), true).map_err(std::io::Error::other)?;
    until("it waits", || proxy.stats().apps.values().any(|app| app.held == 1)).await?;
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[app.address])).await?;
    assert!(whole(answer).await?.text().ends_with("hello"));
    Ok(())
}

#[tokio::test]
async fn silence_nonsense_and_a_broken_connection_are_told_apart() -> Result<()> {
    for (answer, expected) in [("", 504), ("nonsense\r\n\r\n", 502)] {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(answer).await?;
            wire.rest().await.map(drop)
        })
        .await?;
        let proxy = start(settings())?;
        let state = State::new(1).app("app", "aaaaaa", &[app.address]);
        apply(&proxy, state.limits(|l| l.response_header_timeout = Duration::from_millis(200))).await?;
        let mut client = Client::connect(proxy.http_addr()).await?;
        assert_eq!(client.get("/").await?.status(), expected);
    }
    let app = Upstream::raw(|mut wire, _| async move { wire.message(Kind::Request).await.map(drop) }).await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    assert_eq!((client.get("/").await?.status(), app.connections()), (502, 2));
    Ok(())
}
