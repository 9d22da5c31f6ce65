//! A request whose connection breaks is sent again under its key, and one that is to end with it is not.

use std::time::Duration;

use nd_api::Manifest;
use nd_api::v1::DeployBody;
use nd_client::{Client, ClientError, Host};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Answers each connection with the next text, where nothing is a connection that breaks; gives the heads it read.
async fn daemon(listener: UnixListener, answers: Vec<Option<String>>) -> Result<Vec<String>> {
    let mut heads = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await?;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                break;
            }
        }
        heads.push(String::from_utf8(head)?.to_lowercase());
        if let Some(answer) = answer {
            stream.write_all(answer.as_bytes()).await?;
        }
    }
    Ok(heads)
}

fn answer(status: &str, body: &str) -> Option<String> {
    let kind = if status == "200 OK" { "application/json" } else { "application/problem+json" };
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

fn key(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("idempotency-key: "))
}

#[tokio::test]
async fn a_request_is_sent_again_under_the_same_key_until_it_is_answered() -> Result {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket)?;
    let under_way = r#"{"title":"still under way","status":409,"code":"ND1014"}"#;
    let done = r#"{"app":"shop","operation":"stop","settled":true}"#;
    let answers = vec![None, answer("409 Conflict", under_way), answer("200 OK", done)];
    let client = Client::new(Host::Unix(socket));
    let app = "shop".parse()?;
    let (heads, view) = tokio::join!(daemon(listener, answers), client.stop(&app, Duration::from_secs(1)));
    assert!(view?.settled);
    let heads = heads?;
    let keys: Vec<_> = heads.iter().map(|head| key(head)).collect();
    assert!(keys.first().is_some_and(Option::is_some), "{heads:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    Ok(())
}

#[tokio::test]
async fn a_deployment_in_a_queue_ends_with_its_connection() -> Result {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket)?;
    let client = Client::new(Host::Unix(socket));
    let body = DeployBody { lock_wait_ms: Some(60_000), ..DeployBody::new(Manifest::new("shop".parse()?)) };
    let (heads, view) = tokio::join!(daemon(listener, vec![None]), client.deploy(&body));
    assert!(matches!(view, Err(ClientError::Broken { .. })), "{view:?}");
    assert_eq!(key(&heads?[0]), None);
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_said_at_once() -> Result {
    let dir = tempfile::tempdir()?;
    let client = Client::new(Host::Unix(dir.path().join("nobody")));
    let answer =
        tokio::time::timeout(Duration::from_secs(5), client.stop(&"shop".parse()?, Duration::ZERO)).await?;
    assert!(matches!(answer, Err(ClientError::Unreachable { .. })), "{answer:?}");
    Ok(())
}
