//! WebSockets over streams (RFC 8441).

use std::io::{Error, Result};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::Request;
use nd_proxy::{DrainReport, Proxy};
use tokio::sync::mpsc;

use super::client::{Client, get, piece, to};
use crate::support::*;

const CLOSE_1012: [u8; 4] = [0x88, 2, 0x03, 0xf4];

/// An app that accepts WebSockets at `/ws`, greets, and hands on what it reads.
async fn socket_app() -> Result<(Upstream, mpsc::Receiver<Vec<u8>>)> {
    let (say, heard) = mpsc::channel(1000);
    let app = Upstream::raw(move |mut wire, _| {
        let say = say.clone();
        async move {
            loop {
                let head = wire.message(Kind::Request).await?.head;
                if head.starts_with("GET /ws ") {
                    break;
                }
                wire.send(ok("no socket")).await?;
            }
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
                .await?;
            wire.send("Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x01\x02hi").await?;
            loop {
                say.send(wire.exactly(1).await?).await.map_err(Error::other)?;
            }
        }
    })
    .await?;
    Ok((app, heard))
}

fn connect(path: &str, protocol: &'static str) -> Request<()> {
    let mut request = to("CONNECT", &format!("http://app.test{path}"));
    request.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

async fn opened(client: &mut Client) -> Result<(RecvStream, SendStream<Bytes>)> {
    client.get("/").await?; // the proxy has said that it knows WebSockets
    let (answer, up) = client.send(connect("/ws", "websocket"), false).await?;
    let answer = within("the answer", answer).await?.map_err(Error::other)?;
    assert_eq!(answer.status(), 200);
    let fields = answer.headers();
    assert!(fields.contains_key("sec-websocket-protocol") && !fields.contains_key("sec-websocket-accept"));
    let mut down = answer.into_body();
    assert_eq!(piece(&mut down).await?, Some("\x01\x02hi".into()));
    Ok((down, up))
}

async fn hear(heard: &mut mpsc::Receiver<Vec<u8>>, count: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let next = within("bytes at the app", heard.recv()).await?;
        bytes.extend(next.ok_or(std::io::ErrorKind::UnexpectedEof)?);
    }
    Ok(bytes)
}

async fn drained(proxy: &Proxy) -> Result<DrainReport> {
    apply(proxy, State::new(2).app("app", "bbbbbb", &[])).await?;
    Ok(proxy.drain(&[unit("app", "aaaaaa", 1)?], Duration::from_secs(30)).await)
}

#[tokio::test]
async fn a_websocket_is_one_stream_among_others() -> Result<()> {
    let (app, mut heard) = socket_app().await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (mut down, mut up) = opened(&mut client).await?;
    up.send_data(b"\x81\x82\0\0\0\0yo".as_slice().into(), false).map_err(Error::other)?;
    assert_eq!(hear(&mut heard, 8).await?, b"\x81\x82\0\0\0\0yo");
    assert_eq!(client.get("/").await?.text(), "no socket");
    up.send_data(Bytes::new(), true).map_err(Error::other)?;
    assert_eq!(piece(&mut down).await?, None);
    until("the tunnel has ended", || proxy.stats().apps.values().all(|app| app.in_flight == 0)).await
}

#[tokio::test]
async fn draining_closes_it_with_1012() -> Result<()> {
    let (app, mut heard) = socket_app().await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (mut down, mut up) = opened(&mut client).await?;
    let answer = async {
        assert_eq!(piece(&mut down).await?, Some(CLOSE_1012.as_slice().to_vec().into()));
        assert!(hear(&mut heard, 8).await?.starts_with(&[0x88, 0x82]));
        up.send_data([0x88, 0x80, 0, 0, 0, 0].as_slice().to_vec().into(), false).map_err(Error::other)?;
        assert_eq!(piece(&mut down).await?, None);
        Result::Ok(())
    };
    let (report, answered) = tokio::join!(drained(&proxy), answer);
    answered?;
    assert_eq!(report?, DrainReport { websockets_closed: 1, ..DrainReport::default() });
    Ok(())
}

#[tokio::test]
async fn at_the_end_of_the_proxy_it_is_told_that_it_goes_away() -> Result<()> {
    let (app, mut heard) = socket_app().await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (mut down, mut up) = opened(&mut client).await?;
    let answer = async {
        assert_eq!(piece(&mut down).await?, Some([0x88, 2, 0x03, 0xe9].as_slice().to_vec().into()));
        assert!(hear(&mut heard, 8).await?.starts_with(&[0x88, 0x82]));
        up.send_data([0x88, 0x80, 0, 0, 0, 0].as_slice().to_vec().into(), false).map_err(Error::other)?;
        assert_eq!(piece(&mut down).await?, None);
        client.ended().await
    };
    let (_, answered) =
        within("the end", async { tokio::join!(proxy.shutdown(Duration::from_secs(20)), answer) }).await?;
    answered
}

#[tokio::test]
async fn an_app_that_does_not_switch_has_not_said_yes() -> Result<()> {
    let (app, _heard) = socket_app().await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    client.get("/").await?;
    let (answer, _up) = client.send(connect("/no", "websocket"), false).await?;
    assert!(within("the end", answer).await?.is_err_and(|error| error.is_reset()));
    let (answer, _up) = client.send(connect("/ws", "connect-udp"), false).await?;
    let answer = within("the answer", answer).await?.map_err(Error::other)?;
    assert_eq!((answer.status().as_u16(), client.ask(get("/"), b"").await?.status()), (405, 200));
    Ok(())
}
