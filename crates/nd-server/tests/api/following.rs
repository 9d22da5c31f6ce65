//! Following what goes on: server-sent events, WebSockets, and readers that are slow or gone.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nd_core::ports::{LogEntry, LogLevel, LogStore, OutputStream};
use nd_types::{Timestamp, UnitId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::{At, PATIENCE, TestResult, World, image, with};

const SSE: &str = "accept: text/event-stream\r\n";

/// The data of every event, and their ids.
fn events(body: &str) -> TestResult<(Vec<u64>, Vec<Value>)> {
    let field = |name: &'static str| body.lines().filter_map(move |line| line.strip_prefix(name));
    let ids = field("id: ").map(str::parse).collect::<Result<_, _>>()?;
    let data = field("data: ").map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((ids, data))
}

fn line(unit: &UnitId, text: String) -> LogEntry {
    let (at, app, stream) = (Timestamp::now(), unit.app().clone(), OutputStream::Stdout);
    LogEntry { seq: 0, at, app, unit: unit.clone(), stream, level: LogLevel::Info, line: text }
}

async fn websocket(world: &World, query: &str) -> TestResult<WebSocketStream<UnixStream>> {
    let wire = UnixStream::connect(&world.socket).await?;
    let (socket, _) =
        tokio_tungstenite::client_async(format!("ws://localhost/ws/logs?{query}"), wire).await?;
    Ok(socket)
}

async fn next(socket: &mut WebSocketStream<UnixStream>) -> TestResult<Option<Message>> {
    Ok(timeout(PATIENCE, socket.next()).await?.transpose()?)
}

#[tokio::test]
async fn a_deployment_is_followed_as_server_sent_events_to_its_end() -> TestResult {
    let world = World::start().await?;
    let id =
        world.begun("shop", with(image("shop", "i"), "/env", json!({"FAKE": "ready-after:100ms"}))).await?;
    let path = format!("/api/v1/deployments/{id}/stream");
    let live = world.ask_with("GET", &path, SSE, "").await?;
    assert_eq!((live.status, live.header("content-type")), (200, Some("text/event-stream")));
    let (ids, records) = events(&live.body)?;
    assert!(ids.len() == records.len() && ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let last = records.last().ok_or("empty")?;
    assert_eq!((last.at("/step"), last.at("/status")), (&json!("done"), &json!("succeeded")));
    assert_eq!(records, world.ask("GET", &path, "").await?.ndjson()?, "both forms say the same");
    Ok(())
}

#[tokio::test]
async fn a_follower_that_comes_back_gets_what_it_has_not_seen() -> TestResult {
    let world = World::start().await?;
    let id = world.begun("shop", image("shop", "i")).await?;
    let path = format!("/api/v1/deployments/{id}/stream");
    let (all, _) = events(&world.ask_with("GET", &path, SSE, "").await?.body)?;
    let again = world.ask_with("GET", &path, &format!("{SSE}last-event-id: 2\r\n"), "").await?;
    assert_eq!(events(&again.body)?.0, all.get(2..).unwrap_or_default());
    let seen = format!("{SSE}last-event-id: {}\r\n", all.last().ok_or("no step")?);
    let over = world.ask_with("GET", &path, &seen, "").await?;
    assert_eq!((over.status, over.body.as_str()), (204, ""), "an event source stops asking after 204");
    Ok(())
}

#[tokio::test]
async fn events_are_sent_live_and_replayed_after_the_last_one_seen() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i")).await?;
    let known = world.ask("GET", "/api/v1/events?limit=1000", "").await?.json()?;
    let newest = known.at("/items/0/id").as_u64().ok_or("no events")?;
    let request = format!(
        "GET /api/v1/events?app=shop HTTP/1.1\r\nhost: localhost\r\n{SSE}last-event-id: {}\r\n\r\n",
        newest - 2
    );
    let mut wire = BufReader::new(UnixStream::connect(&world.socket).await?);
    wire.write_all(request.as_bytes()).await?;
    let mut ids = Vec::new();
    let mut text = String::new();
    while ids.len() < 3 {
        text.clear();
        timeout(PATIENCE, wire.read_line(&mut text)).await??;
        if let Some(id) = text.strip_prefix("id: ") {
            ids.push(id.trim().parse::<u64>()?);
            if ids.len() == 2 {
                world.ask("POST", "/stop?app=shop", "").await?;
            }
        }
    }
    assert_eq!(ids.get(..2), Some([newest - 1, newest].as_slice()));
    assert!(ids.last() > Some(&newest), "{ids:?}");
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_without_an_id_shows_that_a_quiet_stream_lives() -> TestResult {
    let world = World::start().await?;
    let mut wire = BufReader::new(UnixStream::connect(&world.socket).await?);
    wire.write_all(format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n{SSE}\r\n").as_bytes()).await?;
    let mut text = String::new();
    timeout(PATIENCE, wire.read_line(&mut text)).await??;
    assert!(text.contains("200"), "{text}");
    tokio::time::pause();
    while !text.ends_with("event: heartbeat\n") {
        timeout(PATIENCE, wire.read_line(&mut text)).await??;
    }
    assert!(!text.contains("\nid: "), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_websocket_is_pinged_and_lives_as_long_as_it_answers() -> TestResult {
    let world = World::start().await?;
    let mut socket = websocket(&world, "").await?;
    assert_eq!(next(&mut socket).await?, Some(Message::Ping(Bytes::new())));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    // Reading answers each ping.
    for _ in 0..10 {
        assert_eq!(next(&mut socket).await?, Some(Message::Ping(Bytes::new())));
    }
    let lasted = begun.elapsed();
    assert!((Duration::from_secs(140)..Duration::from_secs(160)).contains(&lasted), "{lasted:?}");
    socket.close(None).await?;
    while let Some(message) = next(&mut socket).await? {
        assert!(message.is_close() || message.is_ping(), "{message:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_websocket_that_answers_no_ping_is_closed() -> TestResult {
    let world = World::start().await?;
    let mut wire = websocket(&world, "").await?.into_inner();
    tokio::time::pause();
    let mut sent = Vec::new();
    timeout(5 * PATIENCE, wire.read_to_end(&mut sent)).await??;
    // Three pings without data, and the end for a reason: 1002.
    assert_eq!(sent, b"\x89\x00\x89\x00\x89\x00\x88\x02\x03\xea");
    Ok(())
}

#[tokio::test]
async fn what_a_client_sends_on_a_log_socket_changes_nothing() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i")).await?;
    let unit: UnitId = "shop-8f3k2a-1".parse()?;
    let mut socket = websocket(&world, "app=shop&tail=0").await?;
    socket.send(Message::text("hello")).await?;
    socket.send(Message::Ping(Bytes::from_static(b"there?"))).await?;
    loop {
        match next(&mut socket).await? {
            Some(Message::Pong(data)) => break assert_eq!(data, Bytes::from_static(b"there?")),
            Some(Message::Ping(_)) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    world.logs.append(vec![line(&unit, "still here".to_owned())]).await?;
    loop {
        match next(&mut socket).await? {
            Some(Message::Text(text)) if text.contains("still here") => return Ok(()),
            Some(Message::Ping(_)) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
}

#[tokio::test]
async fn log_sockets_are_counted_and_give_their_place_back() -> TestResult {
    let world = World::start().await?;
    let mut open = Vec::new();
    let refused = loop {
        match websocket(&world, "").await {
            Ok(socket) => open.push(socket),
            Err(refused) => break refused.to_string(),
        }
    };
    assert!(open.len() >= 64 && refused.contains("429"), "{} open, {refused}", open.len());
    drop(open);
    // The server sees the end of each as soon as it looks.
    let again = async {
        while websocket(&world, "").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await?;
    Ok(())
}

#[tokio::test]
async fn a_reader_that_takes_nothing_for_half_a_minute_is_left() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i")).await?;
    let unit: UnitId = "shop-8f3k2a-1".parse()?;
    let mut wire = websocket(&world, "app=shop&tail=0").await?.into_inner();
    let text = "x".repeat(1000);
    for _ in 0..10 {
        world.logs.append((0..500).map(|_| line(&unit, text.clone())).collect()).await?;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(40)).await;
    let mut sent = Vec::new();
    // Cut or ended, but over: what did not fit into the socket never comes.
    let read = timeout(PATIENCE, wire.read_to_end(&mut sent)).await?;
    assert!(read.is_ok_and(|sent| sent < 5_000_000), "{} bytes", sent.len());
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_holds_nobody_up() -> TestResult {
    const LINES: u64 = 30_000;
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i")).await?;
    let unit: UnitId = "shop-8f3k2a-1".parse()?;
    let mut slow = websocket(&world, "app=shop&tail=0").await?;
    let text = "x".repeat(500);
    for batch in 0..LINES / 500 {
        let lines = (1..=500).map(|number| line(&unit, format!("{} {text}", batch * 500 + number)));
        // The store takes every line at its own pace, although nobody reads the socket.
        timeout(PATIENCE, world.logs.append(lines.collect())).await??;
    }
    let quick = world.ask("GET", "/api/v1/logs?app=shop&tail=1", "").await?;
    assert!(quick.body.contains(&format!("{LINES} x")), "others are served meanwhile");
    let (mut seen, mut missed, mut last) = (0, 0, 0);
    while seen + missed < LINES {
        let Some(message) = next(&mut slow).await? else { return Err("the socket ended".into()) };
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text)?;
        match frame.at("/type").as_str() {
            Some("log") => {
                let number = frame.at("/seq").as_u64().ok_or("no number")?;
                assert_eq!(number, last + 1, "in order, and nothing is missing but what a gap says");
                (seen, last) = (seen + 1, number);
            }
            Some("gap") => {
                let dropped = frame.at("/dropped").as_u64().ok_or("no count")?;
                (missed, last) = (missed + dropped, last + dropped);
            }
            _ => return Err(text.as_str().into()),
        }
    }
    assert!(seen >= 4096 && missed > 0, "{seen} seen, {missed} missed");
    world.logs.append(vec![line(&unit, "again".to_owned())]).await?;
    loop {
        match next(&mut slow).await? {
            Some(Message::Text(text)) if text.contains("again") => return Ok(()),
            Some(Message::Ping(_)) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
}
