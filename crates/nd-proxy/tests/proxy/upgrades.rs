//! Connections that leave HTTP: WebSockets, other protocols, and how they end.

use std::io::Result;
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::{DrainReport, Proxy};
use tokio::sync::{Mutex, mpsc};

use super::support::*;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const CLOSE_1012: [u8; 4] = [0x88, 2, 0x03, 0xf4];

/// What the app reads after the upgrade.
type Heard = mpsc::Receiver<Vec<u8>>;

/// An app that accepts upgrades, sends `first`, and then hands on what it reads, byte by byte.
async fn socket_app(first: &'static [u8]) -> Result<(Upstream, Heard)> {
    let (say, heard) = mpsc::channel(1000);
    let app = Upstream::raw(move |mut wire, _| {
        let say = say.clone();
        async move {
            let head = wire.message(Kind::Request).await?.head;
            let upgrade =
                head.contains("Connection: Upgrade\r\nUpgrade: ") && head.contains("Sec-WebSocket-Key");
            wire.send(if upgrade { SWITCH } else { "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" })
                .await?;
            wire.send(first).await?;
            loop {
                let byte = wire.exactly(1).await?;
                say.send(byte).await.map_err(std::io::Error::other)?;
            }
        }
    })
    .await?;
    Ok((app, heard))
}

async fn hear(heard: &mut Heard, count: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let next = within("bytes at the app", heard.recv()).await?;
        bytes.extend(next.ok_or(std::io::ErrorKind::UnexpectedEof)?);
    }
    Ok(bytes)
}

async fn upgraded(proxy: &Proxy) -> Result<Wire> {
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send(UPGRADE).await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.field("upgrade").as_deref()), (101, Some("websocket")));
    assert_eq!(answer.field("connection").as_deref(), Some("Upgrade"));
    assert!(answer.field("sec-websocket-accept").is_some());
    Ok(client)
}

async fn drain_app(proxy: &Proxy, deadline: Duration) -> Result<DrainReport> {
    apply(proxy, State::new(2).app("app", "bbbbbb", &[])).await?;
    Ok(proxy.drain(&[unit("app", "aaaaaa", 1)?], deadline).await)
}

/// The payload of a short masked frame.
fn unmask(frame: &[u8]) -> Vec<u8> {
    let mask = frame.iter().skip(2).take(4).cycle();
    frame.iter().skip(6).zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_from_the_first() -> Result<()> {
    let (app, mut heard) = socket_app(b"\x81\x02hi").await?;
    let proxy = start_for(&app).await?;
    let mut client = upgraded(&proxy).await?;
    assert_eq!(within("the greeting", client.exactly(4)).await??, b"\x81\x02hi");
    client.send(b"\x81\x82\0\0\0\0yo").await?;
    assert_eq!(hear(&mut heard, 8).await?, b"\x81\x82\0\0\0\0yo");
    assert_eq!(proxy.stats().apps.values().map(|app| (app.upgrades, app.in_flight)).next(), Some((1, 1)));
    drop(client);
    until("the tunnel has ended", || proxy.stats().apps.values().all(|app| app.in_flight == 0)).await
}

#[tokio::test]
async fn draining_closes_a_websocket_with_1012_on_both_sides() -> Result<()> {
    let (app, mut heard) = socket_app(b"").await?;
    let proxy = start_for(&app).await?;
    let mut client = upgraded(&proxy).await?;
    let answer = async {
        assert_eq!(within("the close", client.exactly(4)).await??, CLOSE_1012);
        let close = hear(&mut heard, 8).await?;
        assert!(close.starts_with(&[0x88, 0x82]) && unmask(&close) == [0x03, 0xf4], "{close:?}");
        client.send([0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xf4 ^ 2]).await?;
        client.closed().await
    };
    let (report, answered) = tokio::join!(drain_app(&proxy, Duration::from_secs(30)), answer);
    answered?;
    assert_eq!(report?, DrainReport { websockets_closed: 1, ..DrainReport::default() });
    Ok(())
}

#[tokio::test]
async fn a_close_waits_for_the_end_of_the_frame_on_its_way() -> Result<()> {
    let (half, rest) = (b"\x82\x05hel", b"lo");
    let (go, wait) = mpsc::channel::<()>(1);
    let wait = Arc::new(Mutex::new(wait));
    let app = Upstream::raw(move |mut wire, _| {
        let wait = Arc::clone(&wait);
        async move {
            wire.message(Kind::Request).await?;
            wire.send(SWITCH).await?;
            wire.send(half).await?;
            wait.lock().await.recv().await;
            wire.send(rest).await?;
            wire.send(b"\x81\x04lost").await?;
            wire.rest().await.map(drop)
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = upgraded(&proxy).await?;
    assert_eq!(within("half a frame", client.exactly(5)).await??, half);
    let answer = async {
        let early = tokio::time::timeout(Duration::from_millis(100), client.exactly(1)).await;
        assert!(early.is_err(), "nothing may come within a frame");
        go.send(()).await.map_err(std::io::Error::other)?;
        assert_eq!(
            within("the rest and the close", client.exactly(6)).await??,
            [rest.as_slice(), &CLOSE_1012].concat()
        );
        client.send([0x88, 0x80, 0, 0, 0, 0]).await?;
        client.closed().await
    };
    let (report, answered) = tokio::join!(drain_app(&proxy, Duration::from_secs(30)), answer);
    answered?;
    assert_eq!(report?.websockets_closed, 1);
    Ok(())
}

#[tokio::test]
async fn a_frame_that_does_not_end_is_cut_at_the_deadline() -> Result<()> {
    let (app, _heard) = socket_app(b"\x82\x05hel").await?;
    let proxy = start_for(&app).await?;
    let mut client = upgraded(&proxy).await?;
    let report = drain_app(&proxy, Duration::from_millis(200)).await?;
    assert_eq!(report, DrainReport { websockets_cut: 1, ..DrainReport::default() });
    assert_eq!(client.rest().await?, b"\x82\x05hel");
    Ok(())
}

#[tokio::test]
async fn many_websockets_are_closed_one_after_the_other() -> Result<()> {
    let (app, _heard) = socket_app(b"").await?;
    let proxy = start_for(&app).await?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(upgraded(&proxy).await?);
    }
    let start = std::time::Instant::now();
    let answers = async {
        for client in &mut clients {
            assert_eq!(within("the close", client.exactly(4)).await??, CLOSE_1012);
            client.send([0x88, 0x80, 0, 0, 0, 0]).await?;
        }
        Result::Ok(start.elapsed())
    };
    let (report, last) = tokio::join!(drain_app(&proxy, Duration::from_secs(30)), answers);
    assert_eq!(report?.websockets_closed, 8);
    let last = last?;
    assert!(last >= Duration::from_millis(50) && last < Duration::from_secs(5), "{last:?}");
    Ok(())
}

#[tokio::test]
async fn another_protocol_is_carried_as_it_is_and_cut_at_the_deadline() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nhello")
            .await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 101);
    assert_eq!(within("the bytes", client.exactly(5)).await??, b"hello");
    let report = drain_app(&proxy, Duration::from_millis(100)).await?;
    assert_eq!(report, DrainReport { cut: 1, ..DrainReport::default() });
    client.closed().await
}

#[tokio::test]
async fn a_switch_nobody_asked_for_is_no_answer() -> Result<()> {
    let (app, _heard) = socket_app(b"").await?;
    let forced = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send(SWITCH).await
    })
    .await?;
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).app("forced", "aaaaaa", &[forced.address]);
    apply(&proxy, state).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: forced.test\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 502);
    client.send(UPGRADE.replace("websocket", "h2c")).await?;
    assert_eq!(client.response().await?.status(), 400, "the app must not see the offer");
    Ok(())
}

#[tokio::test]
async fn at_the_end_of_the_proxy_websockets_are_told_that_it_goes_away() -> Result<()> {
    let (app, _heard) = socket_app(b"").await?;
    let proxy = start_for(&app).await?;
    let mut client = upgraded(&proxy).await?;
    let answer = async {
        assert_eq!(within("the close", client.exactly(4)).await??, [0x88, 2, 0x03, 0xe9]);
        client.send([0x88, 0x80, 0, 0, 0, 0]).await?;
        client.closed().await
    };
    let (_, answered) =
        within("the end", async { tokio::join!(proxy.shutdown(Duration::from_secs(20)), answer) }).await?;
    answered
}
