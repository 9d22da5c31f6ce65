//! What much costs: long bodies and many idle connections, in memory.
//!
//! A process of its own, one test after the other, because the memory is measured; it includes what the clients and the app
//! of the test take.

#[path = "../proxy/support.rs"]
#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
mod support;

#[path = "../floods/hesitation.rs"]
mod hesitation;
#[path = "../floods/raw.rs"]
#[allow(dead_code, reason = "shared with the floods, which use more of it")]
mod raw;

use std::io::{Error, Result};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hesitation::with_hesitation;
use raw::Raw;
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// More memory than before while a long body passes.
const FOR_A_BODY: usize = 64 << 20;
/// A long body.
const LENGTH: usize = 100_000_000;
/// For one idle connection.
const IDLE: usize = 48 << 10;
const IDLE_CONNECTIONS: usize = 2000;
/// Another client waits no longer for an answer.
const PATIENCE: Duration = Duration::from_millis(1500);
static PIECE: [u8; 50_000] = [b'x'; 50_000];
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Memory of this process, in bytes.
fn memory() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = status.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or(Error::other("statm"))?;
    Ok(pages * 4096)
}

/// An app that reads whatever comes up, and sends much down.
async fn app() -> Result<Upstream> {
    Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.through("\r\n\r\n").await?;
            if head.starts_with("POST ") {
                for _ in 0..LENGTH / PIECE.len() {
                    wire.exactly(PIECE.len()).await?;
                }
                wire.send(ok("got it")).await?;
            } else {
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")).await?;
                for _ in 0..LENGTH / PIECE.len() {
                    wire.send(&PIECE).await?;
                }
            }
        }
    })
    .await
}

fn assert_modest(before: usize) -> Result<()> {
    let more = memory()?.saturating_sub(before);
    assert!(more <= FOR_A_BODY, "{} MiB more", more >> 20);
    Ok(())
}

#[tokio::test]
async fn a_hundred_megabytes_up_and_down_take_little_memory() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let app = app().await?;
    let proxy = start_for(&app).await?;
    let before = memory()?;
    let mut client = TcpStream::connect(proxy.http_addr()).await?;
    client
        .write_all(
            format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes(),
        )
        .await?;
    for n in 0..LENGTH / PIECE.len() {
        within("a piece up", client.write_all(&PIECE)).await??;
        if n % 100 == 0 {
            assert_modest(before)?;
        }
    }
    let mut client = Wire::new(client);
    assert_eq!(client.response().await?.text(), "got it");
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n").await?;
    within("the head", client.through("\r\n\r\n")).await??;
    for n in 0..LENGTH / PIECE.len() {
        within("a piece down", client.exactly(PIECE.len())).await??;
        if n % 100 == 0 {
            assert_modest(before)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_hundred_megabytes_take_little_memory_on_a_stream_as_well() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let app = app().await?;
    let proxy = start_for(&app).await?;
    let before = memory()?;
    let stream = TcpStream::connect(proxy.http_addr()).await?;
    let (requests, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
    let tasks = nd_supervise::TaskSet::new("client");
    tasks.spawn("connection", async move {
        connection.await.ok();
    });
    let mut requests = within("room", requests.ready()).await?.map_err(Error::other)?;
    let post = http::Request::post("http://app.test/").header("content-length", LENGTH);
    let post = post.body(()).map_err(Error::other)?;
    let (answer, mut upload) = requests.send_request(post, false).map_err(Error::other)?;
    let mut left = LENGTH;
    while left > 0 {
        upload.reserve_capacity(PIECE.len().min(left));
        let room = within("room up", std::future::poll_fn(|cx| upload.poll_capacity(cx))).await?;
        let room = room.ok_or_else(|| Error::other("the stream ended"))?.map_err(Error::other)?.min(left);
        left -= room;
        upload
            .send_data(Bytes::from_static(PIECE.get(..room).unwrap_or(&PIECE)), left == 0)
            .map_err(Error::other)?;
        assert_modest(before)?;
    }
    assert_eq!(within("an answer", answer).await?.map_err(Error::other)?.status(), 200);
    let get = http::Request::get("http://app.test/").body(()).map_err(Error::other)?;
    let (answer, _) = requests.send_request(get, true).map_err(Error::other)?;
    let mut body = within("an answer", answer).await?.map_err(Error::other)?.into_body();
    let mut read = 0;
    while let Some(piece) = within("a piece down", body.data()).await? {
        let piece = piece.map_err(Error::other)?;
        read += piece.len();
        body.flow_control().release_capacity(piece.len()).map_err(Error::other)?;
        assert_modest(before)?;
    }
    assert_eq!(read, LENGTH);
    tasks.shutdown(std::time::Duration::ZERO).await;
    Ok(())
}

#[tokio::test]
async fn two_thousand_idle_connections_take_little_memory_each() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut warm = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(warm.get("/").await?.status(), 200);
    let before = memory()?;
    let mut idle = Vec::with_capacity(IDLE_CONNECTIONS);
    for n in 0..IDLE_CONNECTIONS {
        let mut stream = within("connect", TcpStream::connect(proxy.http_addr())).await??;
        // Some have asked for something before, some never have.
        if n % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
            let mut answer = [0; 1024];
            assert!(within("an answer", stream.read(&mut answer)).await?? > 0);
        }
        idle.push(stream);
    }
    until("all are there", || proxy.stats().connections > IDLE_CONNECTIONS as u64).await?;
    let each = memory()?.saturating_sub(before) / IDLE_CONNECTIONS;
    assert!(each <= IDLE, "{each} bytes each");
    assert_eq!(warm.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn two_thousand_idle_connections_of_http2_take_little_memory_each() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut warm = Raw::connect(proxy.http_addr()).await?;
    asked_on(&mut warm, 1).await?;
    let before = memory()?;
    let mut idle = Vec::with_capacity(IDLE_CONNECTIONS);
    for n in 0..IDLE_CONNECTIONS {
        let mut raw = Raw::connect(proxy.http_addr()).await?;
        if n % 2 == 0 {
            asked_on(&mut raw, 1).await?;
        }
        idle.push(raw);
    }
    until("all are there", || proxy.stats().connections > IDLE_CONNECTIONS as u64).await?;
    let each = memory()?.saturating_sub(before) / IDLE_CONNECTIONS;
    assert!(each <= IDLE, "{each} bytes each");
    asked_on(&mut warm, 3).await
}

/// Asks on a stream and reads the answer.
async fn asked_on(raw: &mut Raw, stream: u32) -> Result<()> {
    raw.send(&raw::get(stream, "/")).await?;
    loop {
        let frame = within("an answer", raw.reader.next()).await??;
        if frame.stream == stream && frame.flags & raw::END_STREAM != 0 {
            return Ok(());
        }
    }
}

/// What a slow client does at the beginning, and again and again: it is slow with a head, with a body, or in reading.
const SLOW: [(&str, &str); 3] = [
    ("GET / HTTP/1.1\r\nHost: app.test\r\nA: ", "b"),
    ("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\n", "b"),
    ("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", ""),
];
/// So many of each. What is not read fills the system's buffers with megabytes.
const SLOW_CLIENTS: [usize; 3] = [200, 200, 50];

#[tokio::test]
async fn four_hundred_and_fifty_slow_connections_take_little_memory_and_everyone_else_is_served() -> Result<()>
{
    let _turn = ONE_AT_A_TIME.lock().await;
    let (slow, quick) = (app().await?, Upstream::named("quick").await?);
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[slow.address]).app("quick", "aaaaaa", &[quick.address]);
    apply(&proxy, state).await?;
    let ask = "GET / HTTP/1.1\r\nHost: quick.test\r\n\r\n";
    let mut kept = Wire::connect(proxy.http_addr()).await?;
    kept.send(ask).await?;
    assert_eq!(kept.response().await?.status(), 200);
    let before = memory()?;
    let mut clients = Vec::new();
    for ((opening, more), count) in SLOW.into_iter().zip(SLOW_CLIENTS) {
        for _ in 0..count {
            let mut client = Wire::connect(proxy.http_addr()).await?;
            client.send(opening).await?;
            clients.push((client, more));
        }
    }
    until("all are there", || proxy.stats().connections > 450).await?;
    // With a head that has not come to its end nobody has been asked.
    until("the app has the others' requests", || slow.connections() == 250).await?;
    for _ in 0..20 {
        for (client, more) in &mut clients {
            match *more {
                "" => client.exactly(1).await.map(drop)?,
                more => client.send(more).await?,
            }
        }
        for is_new in [false, true] {
            let began = Instant::now();
            let answer = async {
                if is_new {
                    kept = Wire::connect(proxy.http_addr()).await?;
                }
                kept.send(ask).await?;
                kept.response().await
            };
            let (answer, hesitation) = with_hesitation(answer).await;
            assert_eq!(answer?.status(), 200);
            let took = began.elapsed().saturating_sub(hesitation);
            assert!(took < PATIENCE, "{took:?}, and {hesitation:?} of our own");
        }
        assert_modest(before)?;
    }
    Ok(())
}
