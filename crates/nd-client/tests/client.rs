//! The client against a server that is written out byte by byte.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use nd_api::v1::{LogFrame, LogQuery};
use nd_client::{Client, ClientError, Host};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Answers one request with these bytes and returns its head.
async fn answer_once(listener: &TcpListener, bytes: &[u8]) -> io::Result<String> {
    let (mut stream, _) = listener.accept().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn server() -> Result<(TcpListener, Client)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let host = Host::Tcp(listener.local_addr()?.to_string());
    Ok((listener, Client::new(host).with_timeout(Duration::from_secs(5)).with_token(Some("ndt_x".into()))))
}

#[tokio::test]
async fn a_refusal_is_the_daemons_problem() -> Result {
    let (listener, client) = server().await?;
    let body = r#"{"type":"about:blank","title":"App not found","status":404,"code":"ND1003"}"#;
    let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (head, result) = tokio::join!(answer_once(&listener, answer.as_bytes()), client.version());
    assert!(head?.contains("authorization: Bearer ndt_x"));
    let error = result.err().ok_or("not refused")?;
    assert_eq!(error.problem().and_then(|problem| problem.code.as_deref()), Some("ND1003"));
    Ok(())
}

#[tokio::test]
async fn lines_come_one_by_one_however_they_are_cut() -> Result {
    let (listener, client) = server().await?;
    let line = r#"{"type":"gap","dropped":3}"#;
    let (one, two) = line.split_at(9);
    let body = format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\n\r\n{:x}\r\n{line}\n\r\n0\r\n\r\n",
        one.len(),
        two.len() + 1,
        line.len() + 1
    );
    let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    let query = LogQuery::default();
    let read = async {
        let frames: Vec<_> = client.logs(&query).await?.collect().await;
        frames.into_iter().collect::<std::result::Result<Vec<LogFrame>, ClientError>>()
    };
    let (head, frames) = tokio::join!(answer_once(&listener, answer.as_bytes()), read);
    head?;
    assert_eq!(frames?, vec![LogFrame::Gap { dropped: 3 }; 2]);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error_and_then_over() -> Result {
    let (listener, client) = server().await?;
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"ty";
    let query = LogQuery::default();
    let read = async { Ok::<_, ClientError>(client.logs(&query).await?.collect::<Vec<_>>().await) };
    let (head, frames) = tokio::join!(answer_once(&listener, answer), read);
    head?;
    let frames = frames?;
    assert!(matches!(frames.as_slice(), [Err(ClientError::Broken { .. })]), "{} frames", frames.len());
    Ok(())
}

#[tokio::test]
async fn nobody_there_is_unreachable() -> Result {
    let (listener, client) = server().await?;
    drop(listener);
    assert!(matches!(client.version().await, Err(ClientError::Unreachable { .. })));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_silent_daemon_is_given_up_at_the_deadline() -> Result {
    let (listener, client) = server().await?;
    let silent = async {
        let _held = listener.accept().await?;
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        result = client.version() => assert!(matches!(result, Err(ClientError::Timeout { .. }))),
        ended = silent => ended?,
    }
    Ok(())
}
