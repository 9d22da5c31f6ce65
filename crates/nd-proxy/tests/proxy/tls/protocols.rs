//! What is spoken behind a handshake: everything that is spoken without one.

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::ext::Protocol;
use nd_types::AppProtocol;
use tokio::sync::{Mutex, mpsc};

use super::{Secure, asking};
use crate::http2::apps::{App, echo, fields};
use crate::http2::client::{Client as Http2, piece, to, whole, with};
use crate::support::*;

/// From an app's write to its client's read.
const PROMPT: Duration = Duration::from_millis(150);

/// The same proxy with another app.
async fn serving(app: std::net::SocketAddr, protocol: AppProtocol) -> Result<Secure> {
    let mut secure = Secure::start().await?;
    secure.generation += 1;
    let certificate = secure.authority.certificate(&["app.test"])?;
    let state = State::new(secure.generation).app("app", "bbbbbb", &[app]);
    let state =
        state.with(|service| service.backends.iter_mut().for_each(|backend| backend.protocol = protocol));
    let state = state.tls(|tls| (tls.listen, tls.certificates) = (vec![secure.address], vec![certificate]));
    apply(&secure.proxy, state).await?;
    Ok(secure)
}

/// A connection that speaks HTTP/1.
async fn http1(secure: &Secure) -> Result<Wire> {
    Ok(Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?))
}

/// A connection that speaks HTTP/2.
async fn http2(secure: &Secure) -> Result<Http2> {
    Http2::over(secure.visitor()?.offering(&["h2"]).connect(secure.address, "app.test").await?).await
}

#[tokio::test]
async fn a_grpc_call_passes_with_its_trailers() -> Result<()> {
    let app = App::start(echo).await?;
    let secure = serving(app.address, AppProtocol::H2c).await?;
    let mut client = http2(&secure).await?;
    let head =
        with("POST", "https://app.test/p.S/M", &[("content-type", "application/grpc"), ("te", "trailers")]);
    let (answer, mut upload) = client.send(head, false).await?;
    upload.send_data("hello".into(), false).map_err(Error::other)?;
    upload.send_trailers(fields(&[("x-sum", "7")])).map_err(Error::other)?;
    let answer = whole(answer).await?;
    let text = answer.text();
    assert!(text.ends_with("hello") && text.contains("x-forwarded-proto: https\n"), "{text}");
    let trailers = answer.trailers.unwrap_or_default();
    let of = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!((of("grpc-status"), of("x-sum")), (Some("0"), Some("7")));
    Ok(())
}

#[tokio::test]
async fn a_websocket_is_a_stream_of_http_2() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        while !wire.message(Kind::Request).await?.head.starts_with("GET /ws ") {
            wire.send(ok("no socket")).await?;
        }
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await?;
        loop {
            let frame = wire.exactly(8).await?;
            wire.send([&[0x82, 2][..], frame.get(6..).unwrap_or_default()].concat()).await?;
        }
    })
    .await?;
    let secure = serving(app.address, AppProtocol::Http).await?;
    let mut client = http2(&secure).await?;
    client.get("/").await?; // the proxy has said that it knows WebSockets
    let mut open = to("CONNECT", "https://app.test/ws");
    open.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
    open.extensions_mut().insert(Protocol::from_static("websocket"));
    let (answer, mut up) = client.send(open, false).await?;
    let answer = within("the answer", answer).await?.map_err(Error::other)?;
    assert_eq!(answer.status(), 200);
    let mut down = answer.into_body();
    for _ in 0..3 {
        up.send_data(Bytes::from_static(&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i']), false)
            .map_err(Error::other)?;
        assert_eq!(piece(&mut down).await?, Some(Bytes::from_static(&[0x82, 2, b'h', b'i'])));
    }
    Ok(())
}

/// An app that writes an event whenever it is told to.
async fn events() -> Result<(Upstream, Secure, mpsc::Sender<()>)> {
    let (more, wait) = mpsc::channel::<()>(1);
    let wait = Arc::new(Mutex::new(wait));
    let app = Upstream::raw(move |mut wire, _| {
        let wait = Arc::clone(&wait);
        async move {
            wire.message(Kind::Request).await?;
            wire.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .await?;
            while wait.lock().await.recv().await.is_some() {
                wire.send("9\r\ndata: x\n\n\r\n").await?;
            }
            Ok(())
        }
    })
    .await?;
    let secure = serving(app.address, AppProtocol::Http).await?;
    Ok((app, secure, more))
}

/// One of them may have met a busy machine.
fn assert_prompt(mut waits: Vec<Duration>) {
    waits.sort_unstable();
    waits.pop();
    assert!(waits.iter().all(|wait| *wait <= PROMPT), "{waits:?}");
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_as_it_is_written() -> Result<()> {
    let (_app, secure, more) = events().await?;
    let mut wire = http1(&secure).await?;
    wire.send(asking("app.test")).await?;
    within("the head", wire.through("\r\n\r\n")).await??;
    let mut waits = Vec::new();
    for _ in 0..5 {
        more.send(()).await.map_err(Error::other)?;
        let told = Instant::now();
        within("an event", wire.through("data: x\n\n")).await??;
        waits.push(told.elapsed());
    }
    assert_prompt(waits);
    Ok(())
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_over_http_2_too() -> Result<()> {
    let (_app, secure, more) = events().await?;
    let mut client = http2(&secure).await?;
    let (answer, _) = client.send(to("GET", "https://app.test/"), true).await?;
    let mut body = within("the head", answer).await?.map_err(Error::other)?.into_body();
    let mut waits = Vec::new();
    for _ in 0..5 {
        more.send(()).await.map_err(Error::other)?;
        let told = Instant::now();
        assert_eq!(piece(&mut body).await?, Some("data: x\n\n".into()));
        waits.push(told.elapsed());
    }
    assert_prompt(waits);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_asks_first_is_told_to_go_on() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
        let body = wire.exactly(5).await?;
        wire.send(ok(&String::from_utf8_lossy(&body))).await
    })
    .await?;
    let secure = serving(app.address, AppProtocol::Http).await?;
    let mut wire = http1(&secure).await?;
    wire.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await?;
    assert_eq!(wire.response().await?.status(), 100);
    wire.send("hello").await?;
    assert_eq!(wire.response().await?.text(), "hello");
    Ok(())
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() -> Result<()> {
    let secure = Secure::start().await?;
    let mut wire = http1(&secure).await?;
    let requests: Vec<String> =
        (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: app.test\r\n\r\n")).collect();
    wire.send(requests.concat()).await?;
    for n in 0..20 {
        let answer = wire.response().await?;
        assert!(answer.text().starts_with(&format!("app\nGET /{n} HTTP/1.1\r\n")), "{}", answer.text());
    }
    Ok(())
}

#[tokio::test]
async fn another_name_than_that_of_the_connection_is_misdirected_for_one_stream_alone() -> Result<()> {
    let mut secure = Secure::start().await?;
    secure.generation += 1;
    let other = secure.authority.certificate(&["other.test"])?;
    let state = secure.state(secure.authority.certificate(&["app.test"])?).route("other.test", "/", "app");
    apply(&secure.proxy, state.tls(|tls| tls.certificates.push(other))).await?;
    let mut client = http2(&secure).await?;
    for (uri, status) in
        [("https://other.test/", 421), ("https://APP.test:443/", 200), ("https://app.test/", 200)]
    {
        assert_eq!(client.ask(to("GET", uri), b"").await?.status(), status, "{uri}");
    }
    assert_eq!(secure.app.requests(), 2);
    Ok(())
}
