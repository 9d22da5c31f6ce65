//! Log lines and events: the last ones, and those that come.

use futures_util::StreamExt;
use nd_core::ports::{LogEntry, LogLevel, LogStore, OutputStream};
use nd_types::{Timestamp, UnitId};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{At, PATIENCE, TestResult, World, image};

fn entry(unit: &UnitId, level: LogLevel, line: &str) -> LogEntry {
    let stream = if level == LogLevel::Error { OutputStream::Stderr } else { OutputStream::Stdout };
    let app = unit.app().clone();
    LogEntry { seq: 0, at: Timestamp::now(), app, unit: unit.clone(), stream, level, line: line.to_owned() }
}

/// An app with three lines.
async fn with_lines(world: &World) -> TestResult<UnitId> {
    world.deployed("shop", image("shop", "i:1")).await?;
    let status = world.engine.status(&"shop".parse()?).ok_or("no app")?;
    let unit = status.units.first().ok_or("no unit")?.id.clone();
    let lines = vec![
        entry(&unit, LogLevel::Info, "all is well"),
        entry(&unit, LogLevel::Warn, "hmm"),
        entry(&unit, LogLevel::Error, r#"{"msg":"boom","code":7}"#),
    ];
    world.logs.append(lines).await?;
    Ok(unit)
}

#[tokio::test]
async fn lines_are_filtered_by_everything_they_have() -> TestResult {
    let world = World::start().await?;
    let unit = with_lines(&world).await?;
    for (query, expected) in [
        ("app=shop".to_owned(), vec!["all is well", "hmm", "{"]),
        ("app=shop&tail=1".to_owned(), vec!["{"]),
        ("level=warn".to_owned(), vec!["hmm"]),
        ("level=warn%2B".to_owned(), vec!["hmm", "{"]),
        ("stream=stderr".to_owned(), vec!["{"]),
        ("q=WELL".to_owned(), vec!["all is well"]),
        (format!("container={unit}"), vec!["all is well", "hmm", "{"]),
        (format!("container={}", unit.as_str().trim_end_matches("-1")), vec!["all is well", "hmm", "{"]),
        (format!("container={unit}2"), vec![]),
        ("container=".to_owned(), vec!["all is well", "hmm", "{"]),
        ("instance=2".to_owned(), vec![]),
    ] {
        let frames = world.ask("GET", &format!("/api/v1/logs?{query}"), "").await?.ndjson()?;
        let lines: Vec<&str> = frames.iter().filter_map(|frame| frame.at("/line").as_str()).collect();
        assert_eq!(lines.len(), expected.len(), "{query}: {lines:?}");
        assert!(
            lines.iter().zip(&expected).all(|(line, start)| line.starts_with(start)),
            "{query}: {lines:?}"
        );
    }
    let frames = world.ask("GET", "/api/v1/logs?stream=stderr", "").await?.ndjson()?;
    assert_eq!((&frames[0]["type"], &frames[0]["fields"]["code"]), (&json!("log"), &json!(7)));
    assert_eq!(world.ask("GET", "/api/v1/logs?level=loud", "").await?.status, 400);
    assert_eq!(world.ask("GET", "/api/v1/logs?app=nobody", "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_websocket_gets_the_last_lines_and_then_those_that_come() -> TestResult {
    let world = World::start().await?;
    let unit = with_lines(&world).await?;
    let wire = UnixStream::connect(&world.socket).await?;
    let (mut socket, _) =
        tokio_tungstenite::client_async("ws://localhost/ws/logs?app=shop&level=warn%2B&tail=1", wire).await?;
    assert_eq!(next_line(&mut socket).await?.at("/level"), "error");
    world
        .logs
        .append(vec![entry(&unit, LogLevel::Info, "quiet"), entry(&unit, LogLevel::Warn, "again")])
        .await?;
    let frame = next_line(&mut socket).await?;
    assert_eq!(
        (frame.at("/line"), frame.at("/app"), frame.at("/stream")),
        (&json!("again"), &json!("shop"), &json!("stdout"))
    );
    assert_eq!(world.stop().await, 0, "a follower holds the end up");
    loop {
        match timeout(PATIENCE, socket.next()).await?.ok_or("the socket ended")?? {
            Message::Close(Some(frame)) => break assert_eq!(u16::from(frame.code), 1012),
            Message::Ping(_) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

async fn next_line<S>(socket: &mut S) -> TestResult<Value>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        match timeout(PATIENCE, socket.next()).await?.ok_or("the socket ended")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Ping(_) | Message::Pong(_) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
}

#[tokio::test]
async fn events_come_in_pages_newest_first() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let page = |query: String| {
        let world = &world;
        async move { world.ask("GET", &format!("/api/v1/events?{query}"), "").await?.json() }
    };
    let all = page("limit=1000".to_owned()).await?;
    let ids = |page: &Value| -> Vec<u64> {
        page.at("/items")
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|event| event.at("/id").as_u64())
            .collect()
    };
    let whole = ids(&all);
    assert!(whole.len() > 4 && whole.windows(2).all(|pair| pair.first() > pair.last()), "{whole:?}");
    let first = page("limit=3".to_owned()).await?;
    let cursor = first.at("/next_cursor").as_str().ok_or("no cursor")?;
    let second = page(format!("limit=1000&cursor={cursor}")).await?;
    assert_eq!([ids(&first), ids(&second)].concat(), whole);
    let deploys = page("type=deploy.succeeded".to_owned()).await?;
    assert_eq!(deploys.at("/items").as_array().map(Vec::len), Some(1));
    let group = page("type=deploy".to_owned()).await?;
    assert!(ids(&group).len() > 1);
    Ok(())
}

#[tokio::test]
async fn requests_to_an_app_are_shown_and_followed() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let last = world.ask("GET", "/api/v1/apps/shop/requests?tail=1", "").await?.ndjson()?;
    assert_eq!(last.iter().map(|frame| frame.at("/path")).collect::<Vec<_>>(), [&json!("/2")]);
    let followed = world.ask("GET", "/api/v1/apps/shop/requests?follow=true", "").await?.ndjson()?;
    let kinds: Vec<_> = followed.iter().map(|frame| frame.at("/type")).collect();
    assert_eq!(kinds, [&json!("request"), &json!("request"), &json!("request"), &json!("gap")]);
    assert_eq!(world.ask("GET", "/api/v1/apps/nobody/requests", "").await?.status, 404);
    Ok(())
}
