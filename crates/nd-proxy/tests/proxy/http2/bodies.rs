//! Bodies: streamed both ways, with their trailers, and never silently cut.

use std::io::{Error, Result};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

use super::client::{Client, get, piece, post, whole, with};
use crate::support::*;

#[tokio::test]
async fn each_piece_of_an_answer_arrives_when_it_is_written() -> Result<()> {
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
            for n in 0..3 {
                wait.lock().await.recv().await;
                wire.send(format!("8\r\ndata: {n}\n\r\n")).await?;
            }
            wire.send("0\r\n\r\n").await
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let answer = within("the head", client.send(get("/"), true).await?.0).await?.map_err(Error::other)?;
    let mut body = answer.into_body();
    for n in 0..3 {
        more.send(()).await.map_err(Error::other)?;
        assert_eq!(piece(&mut body).await?, Some(Bytes::from(format!("data: {n}\n"))));
    }
    assert_eq!(piece(&mut body).await?, None);
    Ok(())
}

#[tokio::test]
async fn each_piece_of_an_upload_arrives_when_it_is_written() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        for _ in 0..3 {
            let piece = wire.exactly(7).await?;
            wire.send(piece).await?;
        }
        assert_eq!(wire.through("0\r\n\r\n").await?, "0\r\n\r\n");
        wire.send("0\r\n\r\n").await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, mut upload) = client.send(post(), false).await?;
    let mut body = within("the head", answer).await?.map_err(Error::other)?.into_body();
    for _ in 0..3 {
        upload.send_data("ab".into(), false).map_err(Error::other)?;
        assert_eq!(piece(&mut body).await?, Some("ab".into()));
    }
    upload.send_data(Bytes::new(), true).map_err(Error::other)?;
    assert_eq!(piece(&mut body).await?, None);
    Ok(())
}

#[tokio::test]
async fn trailers_pass_both_ways() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        let request = wire.message(Kind::Request).await?;
        assert_eq!((request.text().as_str(), request.trailers.as_str()), ("hello", "x-sum: 1\r\n"));
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n")
            .await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, mut upload) = client.send(post(), false).await?;
    upload.send_data("hello".into(), false).map_err(Error::other)?;
    let trailers = [(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("1"))];
    upload.send_trailers(trailers.into_iter().collect()).map_err(Error::other)?;
    let answer = whole(answer).await?;
    assert_eq!((answer.text().as_str(), answer.status()), ("ok", 200));
    assert_eq!(
        answer.trailers.and_then(|t| t.get("x-sum").cloned()),
        Some("2".parse().map_err(Error::other)?)
    );
    Ok(())
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() -> Result<()> {
    const SIZE: usize = 5_000_000;
    for chunked in [false, true] {
        let app = Upstream::raw(move |mut wire, _| async move {
            let body = wire.message(Kind::Request).await?.body;
            if chunked {
                wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                for piece in body.chunks(70_001) {
                    wire.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await?;
                }
                wire.send("0\r\n\r\n").await
            } else {
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
                wire.send(body).await
            }
        })
        .await?;
        let proxy = start_for(&app).await?;
        let mut client = Client::connect(proxy.http_addr()).await?;
        let sent: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
        let length = SIZE.to_string();
        let fields = [("content-length", length.as_str())];
        let request = with("POST", "http://app.test/", if chunked { &[] } else { &fields });
        let (answer, mut upload) = client.send(request, false).await?;
        upload.send_data(sent.clone().into(), true).map_err(Error::other)?;
        assert!(whole(answer).await?.body == sent, "chunked: {chunked}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_cut_is_reset() -> Result<()> {
    for head in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(format!("HTTP/1.1 200 OK\r\n{head}")).await
        })
        .await?;
        let proxy = start_for(&app).await?;
        let mut client = Client::connect(proxy.http_addr()).await?;
        let answer = within("the head", client.send(get("/"), true).await?.0).await?.map_err(Error::other)?;
        let mut body = answer.into_body();
        let cut = loop {
            match piece(&mut body).await {
                Ok(Some(piece)) => assert_eq!(piece, "hello"),
                Ok(None) => return Err(Error::other("it looks complete")),
                Err(error) => break error,
            }
        };
        assert!(cut.to_string().contains("internal"), "{cut}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_ends_with_its_stream() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send("HTTP/1.0 200 OK\r\n\r\nhello").await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.text(), "hello");
    Ok(())
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_never_looks_complete_to_the_app() -> Result<()> {
    for (declared, body) in [("10", "hello"), ("2", "hello")] {
        let app = Upstream::named("app").await?;
        let proxy = start_for(&app).await?;
        let mut client = Client::connect(proxy.http_addr()).await?;
        let request = with("POST", "http://app.test/", &[("content-length", declared)]);
        let (answer, mut upload) = client.send(request, false).await?;
        upload.send_data(body.into(), true).map_err(Error::other)?;
        let answer = within("the end", answer).await?;
        assert!(answer.is_err_and(|error| error.is_reset()), "{declared}");
        assert_eq!(app.requests(), 0, "{declared}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address]).limits(|l| l.body_bytes = 10)).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    assert_eq!(client.ask(post(), b"0123456789").await?.status(), 200);
    for fields in [&[][..], &[("content-length", "11")]] {
        let request = with("POST", "http://app.test/", fields);
        let answer = client.ask(request, b"01234567890").await?;
        assert_eq!(answer.status(), 413, "{fields:?}");
        assert!(answer.text().contains("larger than 10 bytes"), "{}", answer.text());
    }
    assert_eq!(app.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_read_though_the_upload_goes_on() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("nonsense\r\n\r\n").await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Client::connect(proxy.http_addr()).await?;
    let (answer, mut upload) = client.send(post(), false).await?;
    upload.send_data("half of it".into(), false).map_err(Error::other)?;
    let answer = whole(answer).await?;
    assert_eq!(answer.status(), 502);
    let reset = std::future::poll_fn(|cx| upload.poll_reset(cx));
    assert_eq!(within("a reset", reset).await?.map_err(Error::other)?, h2::Reason::NO_ERROR);
    Ok(())
}
