//! Who may ask, and what everybody may.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nd_server::{ListenError, unix_listener};
use serde_json::json;

use crate::support::{At, TOKEN, TestResult, World};

#[tokio::test]
async fn tcp_needs_the_token_and_says_how_to_do_without() -> TestResult {
    let world = World::start().await?;
    let refused = world.ask_tcp("/status", "host: localhost\r\n").await?;
    assert_eq!(refused.status, 401);
    let message = refused.json()?.at("/message").as_str().unwrap_or_default().to_owned();
    let command = format!("curl --unix-socket {} http://localhost/status", world.socket.display());
    assert!(message.ends_with(&command), "{message}");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let taken = world.ask_tcp("/status", &format!("authorization: Bearer {TOKEN}\r\n")).await?;
    assert_eq!(taken.status, 200);
    let wrong = world.ask_tcp("/api/v1/apps", "authorization: Bearer ndt_0\r\n").await?;
    assert_eq!(wrong.header("content-type"), Some("application/problem+json"));
    assert_eq!((wrong.status, wrong.json()?.at("/code")), (401, &json!("ND1009")));
    Ok(())
}

#[tokio::test]
async fn health_is_for_everybody_and_has_no_envelope() -> TestResult {
    let world = World::start().await?;
    let health = world.ask_tcp("/health", "").await?.json()?;
    assert_eq!((health.at("/status"), health.at("/service")), (&json!("ok"), &json!("nextdeployd")));
    assert!(health.at("/uptime").is_f64() && health.at("/timestamp").is_string(), "{health}");
    assert!(health.at("/errors/lastHour").is_u64() && health.at("/errors/lastMinute").is_u64(), "{health}");
    assert!(health.at("/requests").is_u64() && health.at("/memory/rss").is_u64(), "{health}");
    let healthz = world.ask_tcp("/healthz", "").await?;
    assert_eq!((healthz.status, healthz.body.as_str()), (200, "ok"));
    Ok(())
}

#[tokio::test]
async fn dev_trusts_this_host_and_no_page_of_another_site() -> TestResult {
    let world = World::start_as(true).await?;
    let port = world.tcp.port();
    let plain = world.ask_tcp("/status", &format!("host: 127.0.0.1:{port}\r\n")).await?;
    assert_eq!(plain.status, 200);
    let rebound = world.ask_tcp("/status", &format!("host: evil.example:{port}\r\n")).await?;
    assert_eq!(rebound.status, 403, "{}", rebound.body);
    let foreign = format!("host: 127.0.0.1:{port}\r\norigin: http://evil.example\r\n");
    assert_eq!(world.ask_tcp("/status", &foreign).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn the_socket_is_its_users_own_and_one_daemons_alone() -> TestResult {
    let world = World::start().await?;
    assert_eq!(fs::metadata(&world.socket)?.permissions().mode() & 0o777, 0o600);
    assert!(matches!(unix_listener(&world.socket, None), Err(ListenError::InUse(_))));
    let file = world.socket.with_extension("txt");
    fs::write(&file, "mine")?;
    assert!(matches!(unix_listener(&file, None), Err(ListenError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&file)?, "mine");
    Ok(())
}

#[tokio::test]
async fn a_socket_that_a_dead_daemon_left_is_taken_over() -> TestResult {
    let world = World::start().await?;
    let path = world.socket.with_extension("left");
    drop(unix_listener(&path, None)?);
    assert!(path.exists());
    unix_listener(&path, None)?;
    Ok(())
}
