//! Answers that two readers could understand differently, and apps that flood: no client gets what was not meant for it.

use std::io::{Error, Result};
use std::sync::Arc;

use nd_supervise::TaskSet;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::http2::client::{Client, get, piece};
use super::support::*;

/// An app that answers every request of a connection with the same bytes and then closes it, or waits.
async fn app(answer: impl Into<Vec<u8>>, closes: bool) -> Result<Upstream> {
    let answer: Arc<[u8]> = answer.into().into();
    Upstream::raw(move |mut wire, _| {
        let answer = Arc::clone(&answer);
        async move {
            loop {
                wire.message(Kind::Request).await?;
                wire.send(&answer).await?;
                if closes {
                    return Ok(());
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_whose_length_is_doubtful_is_a_bad_gateway() -> Result<()> {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n Transfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 9\r\n",
    ] {
        let app = app(format!("{head}\r\nhello"), false).await?;
        let proxy = start_for(&app).await?;
        assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 502, "{head:?}");
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        assert_eq!(h2.get("/").await?.status(), 502, "{head:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_with_a_length_and_chunks_is_read_in_chunks_and_ends_its_connection() -> Result<()> {
    for lines in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 30",
        "HTTP/1.1 200 OK\r\nContent-Length: 30\r\nTransfer-Encoding: chunked",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked",
    ] {
        let app = app(format!("{lines}\r\n\r\n2\r\nok\r\n0\r\n\r\n"), false).await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        for _ in 0..2 {
            let answer = client.get("/").await?;
            assert_eq!((answer.text().as_str(), answer.field("content-length")), ("ok", None), "{lines}");
        }
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        let answer = h2.get("/").await?;
        assert_eq!((answer.text().as_str(), answer.field("content-length")), ("ok", None), "{lines}");
        assert_eq!(app.connections(), 3, "{lines}: none of them is used again");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_head_or_an_endless_one_is_a_bad_gateway() -> Result<()> {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"A: b\r\n".repeat(20_000);
    for answer in [
        long.as_str(),
        &many,
        &endless,
        "<html>what HTTP/0.9 had</html>",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let about = answer.get(..answer.len().min(60));
        let app = app(answer, true).await?;
        let proxy = start_for(&app).await?;
        assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 502, "{about:?}");
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        assert_eq!(h2.get("/").await?.status(), 502, "{about:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_where_there_can_be_none_is_dropped_with_its_connection() -> Result<()> {
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for head in [
        "HTTP/1.1 204 No Content\r\nContent-Length: 49",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 49",
        "HTTP/1.1 304 Not Modified",
    ] {
        let app = app(format!("{head}\r\n\r\n{forged}"), false).await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        for n in 1..3 {
            let answer = client.get("/").await?;
            assert!(matches!(answer.status(), 204 | 304) && answer.body.is_empty(), "{head}: {answer:?}");
            let has_framing = answer.field("transfer-encoding").is_some();
            assert!(
                !has_framing && (answer.status() == 304 || answer.field("content-length").is_none()),
                "{answer:?}"
            );
            let answer = h2.get("/").await?;
            assert!(matches!(answer.status(), 204 | 304) && answer.body.is_empty(), "{head}");
            assert_eq!(app.connections(), 2 * n, "{head}: a connection with more on it is not used again");
        }
    }
    Ok(())
}

/// A body that comes late is on its way when the connection is used again: what announced it is enough to be wary.
#[tokio::test]
async fn a_connection_on_which_a_forbidden_body_was_announced_is_not_used_again() -> Result<()> {
    for line in ["Content-Length: 49", "Transfer-Encoding: chunked"] {
        let app = app(format!("HTTP/1.1 204 No Content\r\n{line}\r\n\r\n"), false).await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        for n in 1..4 {
            assert_eq!((client.get("/").await?.status(), app.connections()), (204, n), "{line}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_off() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "x".repeat(900));
        loop {
            wire.send(&hint).await?;
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    let (hints, last) = until_final(&mut client).await?;
    assert!((1..200).contains(&hints), "{hints}");
    assert_eq!(last.status(), 502);
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    assert_eq!(h2.get("/").await?.status(), 502);
    Ok(())
}

/// How many interim answers there were before this one.
async fn until_final(client: &mut Wire) -> Result<(usize, Message)> {
    for count in 0..10_000 {
        let answer = client.response().await?;
        if answer.status() >= 200 {
            return Ok((count, answer));
        }
    }
    Err(Error::other("interim answers without end"))
}

/// Each is cut at its end.
const CUT: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
];

#[tokio::test]
async fn wherever_it_was_cut_an_answer_never_looks_complete() -> Result<()> {
    for answer in CUT {
        let app = app(*answer, true).await?;
        let proxy = start_for(&app).await?;
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let mut client = Wire::connect(proxy.http_addr()).await?;
            client.send(format!("GET / {version}\r\nHost: app.test\r\nConnection: close\r\n\r\n")).await?;
            assert!(!looks_complete(&mut client).await?, "{answer:?} for {version}");
        }
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        assert!(h2.get("/").await.map_or(true, |answer| answer.status() == 502), "{answer:?}");
    }
    Ok(())
}

/// Reads an answer to the end of its connection: whether its client takes it for a whole one with status 200.
async fn looks_complete(client: &mut Wire) -> Result<bool> {
    let (bytes, is_orderly) = client.end().await?;
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    let head = Message { head: head.to_owned(), body: Vec::new(), trailers: String::new() };
    Ok(head.status() == 200
        && match head.field("content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => body.len() == length,
            None if head.field("transfer-encoding").is_some() => body.ends_with("\r\n\r\n"),
            None => is_orderly,
        })
}

#[tokio::test]
async fn an_answer_that_ends_with_a_reset_of_its_connection_is_cut() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, tasks, go) = (listener.local_addr()?, TaskSet::new("app"), Arc::new(Notify::new()));
    let wait = Arc::clone(&go);
    tasks.spawn("connections", async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_zero_linger().ok();
            let mut wire = Wire::new(stream);
            wire.message(Kind::Request).await.ok();
            wire.send("HTTP/1.1 200 OK\r\n\r\nhello").await.ok();
            wait.notified().await;
        }
    });
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[address])).await?;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send(format!("GET / {version}\r\nHost: app.test\r\n\r\n")).await?;
        within("the first piece", client.through("hello")).await??;
        go.notify_one();
        let (rest, is_orderly) = client.end().await?;
        let is_whole = if version == "HTTP/1.1" { rest.ends_with(b"0\r\n\r\n") } else { is_orderly };
        assert!(!is_whole, "{version}: {rest:?}");
    }
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let head = within("the head", h2.send(get("/"), true).await?.0).await?.map_err(Error::other)?;
    let mut body = head.into_body();
    assert_eq!(piece(&mut body).await?, Some("hello".into()));
    go.notify_one();
    assert!(piece(&mut body).await.is_err());
    Ok(())
}
