//! Answers are compressed for clients that ask for it, and for nobody else.

use std::io::{Error, Read as _, Result};

use bytes::Bytes;
use nd_proxy::Proxy;
use nd_types::{Compression, ContentCoding};

use super::http2::client::{Client, piece, with};
use super::support::*;

const TEXT: &str = "Content-Type: text/html; charset=utf-8\r\n";

fn page() -> String {
    (0..400).map(|n| format!("<li>line {n} of a page</li>\n")).collect()
}

/// An app that answers every request with these lines in its head and the page, in full.
async fn app(lines: &'static str) -> Result<Upstream> {
    Upstream::raw(move |mut wire, _| async move {
        loop {
            let head = wire.message(Kind::Request).await?.head;
            let length = page().len();
            let body = if head.starts_with("HEAD ") { String::new() } else { page() };
            wire.send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\n\r\n{body}")).await?;
        }
    })
    .await
}

/// An app whose one answer is sent when the test says so, piece by piece.
async fn app_in_pieces(
    head: &'static str,
) -> Result<(Upstream, tokio::sync::mpsc::UnboundedSender<&'static str>)> {
    let (more, wait) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let wait = std::sync::Arc::new(tokio::sync::Mutex::new(wait));
    let app = Upstream::raw(move |mut wire, _| {
        let wait = std::sync::Arc::clone(&wait);
        async move {
            wire.message(Kind::Request).await?;
            wire.send(head).await?;
            let mut wait = wait.lock().await;
            while let Some(piece) = wait.recv().await {
                wire.send(piece).await?;
            }
            Ok(())
        }
    })
    .await?;
    Ok((app, more))
}

async fn proxy_with(app: &Upstream, codings: &[ContentCoding]) -> Result<Proxy> {
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    let state = state.rules(|rules| rules.compression = Compression(codings.to_vec()));
    apply(&proxy, state).await?;
    Ok(proxy)
}

async fn ask(proxy: &Proxy, accepts: &str) -> Result<Message> {
    ask_with(proxy, "GET", "1.1", accepts).await
}

async fn ask_with(proxy: &Proxy, method: &str, version: &str, accepts: &str) -> Result<Message> {
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let head = format!("{method} / HTTP/{version}\r\nHost: app.test\r\nAccept-Encoding: {accepts}\r\n\r\n");
    client.send(head).await?;
    let kind = if method == "HEAD" { Kind::Bodiless } else { Kind::Response };
    within("an answer", client.message(kind)).await?
}

fn decoded(coding: &str, bytes: &[u8]) -> Result<String> {
    let mut content = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut content)?,
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut content)?,
        "zstd" => zstd::stream::read::Decoder::new(bytes)?.read_to_string(&mut content)?,
        other => return Err(Error::other(format!("an unknown coding: {other}"))),
    };
    Ok(content)
}

#[tokio::test]
async fn a_client_gets_the_coding_it_asks_for() -> Result<()> {
    let app =
        app("Content-Type: text/html\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\nX-Kept: 1\r\n").await?;
    let proxy = proxy_with(&app, &ContentCoding::ALL).await?;
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    for (accepts, coding) in [("gzip", "gzip"), ("br;q=0.9, gzip;q=0.8", "br"), ("gzip, br, zstd", "zstd")] {
        let answer = ask(&proxy, accepts).await?;
        assert_eq!(answer.field("content-encoding").as_deref(), Some(coding));
        assert_eq!(answer.field("vary").as_deref(), Some("Accept-Encoding"));
        assert_eq!(answer.field("etag").as_deref(), Some("W/\"abc\""));
        assert_eq!(answer.field("x-kept").as_deref(), Some("1"));
        assert_eq!(answer.field("transfer-encoding").as_deref(), Some("chunked"));
        assert!(answer.fields("content-length").is_empty() && answer.fields("accept-ranges").is_empty());
        assert!(answer.body.len() < page().len() / 3, "{coding}: {}", answer.body.len());
        assert_eq!(decoded(coding, &answer.body)?, page());
        let answer = h2.ask(with("GET", "http://app.test/", &[("accept-encoding", accepts)]), b"").await?;
        assert_eq!(answer.field("content-encoding"), Some(coding));
        assert_eq!((answer.field("content-length"), answer.field("etag")), (None, Some("W/\"abc\"")));
        assert_eq!(decoded(coding, &answer.body)?, page());
    }
    Ok(())
}

#[tokio::test]
async fn zstd_and_gzip_are_offered_where_nothing_is_said() -> Result<()> {
    let app = app(TEXT).await?;
    let proxy = start_for(&app).await?;
    assert_eq!(ask(&proxy, "gzip, br").await?.field("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(ask(&proxy, "br, zstd").await?.field("content-encoding").as_deref(), Some("zstd"));
    let plain = ask(&proxy, "br").await?;
    assert_eq!((plain.field("content-encoding"), plain.text()), (None, page()));
    assert_eq!(plain.field("vary").as_deref(), Some("Accept-Encoding"), "a cache must know");
    let unasked = Wire::connect(proxy.http_addr()).await?.get("/").await?;
    assert_eq!((unasked.field("content-encoding"), unasked.text()), (None, page()));
    Ok(())
}

#[tokio::test]
async fn what_must_not_be_compressed_passes_as_it_is() -> Result<()> {
    for lines in [
        "Content-Type: image/png\r\n",
        "Content-Type: text/html\r\nContent-Encoding: br\r\n",
        "Content-Type: text/html\r\nCache-Control: no-transform\r\n",
        "Content-Type: text/event-stream\r\n",
        "ETag: \"abc\"\r\n",
    ] {
        let app = app(lines).await?;
        let proxy = start_for(&app).await?;
        let answer = ask(&proxy, "gzip").await?;
        assert_eq!((answer.text(), answer.field("vary")), (page(), None), "{lines}");
        assert_eq!(answer.field("content-length"), Some(page().len().to_string()), "{lines}");
    }
    Ok(())
}

#[tokio::test]
async fn ranges_and_short_answers_pass_as_they_are() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.message(Kind::Request).await?.head;
            let (status, length) =
                if head.contains("Range: bytes=0-1999") { (206, 2000) } else { (200, 1024) };
            let range = if status == 206 { "Content-Range: bytes 0-1999/9000\r\n" } else { "" };
            let body = "x".repeat(length);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\n{range}");
            wire.send(format!("{head}Content-Length: {length}\r\n\r\n{body}")).await?;
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let short = ask(&proxy, "gzip").await?;
    assert_eq!((short.body.len(), short.field("content-encoding")), (1024, None));
    let part = ask(&proxy, "gzip\r\nRange: bytes=0-1999").await?;
    assert_eq!((part.status(), part.body.len(), part.field("content-encoding")), (206, 2000, None));
    assert_eq!(part.field("content-range").as_deref(), Some("bytes 0-1999/9000"));
    Ok(())
}

#[tokio::test]
async fn a_head_request_gets_the_fields_of_a_get() -> Result<()> {
    let app = app(TEXT).await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n\r\n").await?;
        let answer = within("an answer", client.message(Kind::Bodiless)).await??;
        assert_eq!(answer.field("content-encoding").as_deref(), Some("gzip"));
        assert!(answer.fields("content-length").is_empty() && answer.fields("transfer-encoding").is_empty());
    }
    assert_eq!(client.get("/").await?.text(), page(), "the connection is as good as before");
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let answer = h2.ask(with("HEAD", "http://app.test/", &[("accept-encoding", "gzip")]), b"").await?;
    assert_eq!((answer.field("content-encoding"), answer.body.len()), (Some("gzip"), 0));
    Ok(())
}

#[tokio::test]
async fn nothing_is_compressed_for_an_app_that_says_so() -> Result<()> {
    let app = app(TEXT).await?;
    let proxy = proxy_with(&app, &[]).await?;
    let answer = ask(&proxy, "gzip").await?;
    assert_eq!((answer.text(), answer.field("vary")), (page(), None));
    Ok(())
}

#[tokio::test]
async fn each_piece_is_there_before_the_next_one_is_written() -> Result<()> {
    for coding in ["gzip", "br", "zstd"] {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (app, more) = app_in_pieces(head).await?;
        let proxy = proxy_with(&app, &ContentCoding::ALL).await?;
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        let request = with("GET", "http://app.test/", &[("accept-encoding", coding)]);
        let (answer, _) = h2.send(request, true).await?;
        let mut body = within("a head", answer).await?.map_err(Error::other)?.into_body();
        let mut bytes = Vec::new();
        let mut expected = String::new();
        for text in ["4\r\nab\n\r\r\n", "3\r\ncd\n\r\n"] {
            expected.push_str(text.split("\r\n").nth(1).unwrap_or_default());
            more.send(text).map_err(Error::other)?;
            while !readable(coding, &bytes).starts_with(&expected) {
                let next: Option<Bytes> = piece(&mut body).await?;
                bytes.extend_from_slice(&next.ok_or_else(|| Error::other("the end"))?);
            }
        }
        more.send("0\r\nX-Sum: 1\r\n\r\n").map_err(Error::other)?;
        while let Some(next) = piece(&mut body).await? {
            bytes.extend_from_slice(&next);
        }
        assert_eq!(decoded(coding, &bytes)?, expected);
        let trailers = within("trailers", body.trailers()).await?.map_err(Error::other)?;
        assert_eq!(
            trailers.and_then(|fields| fields.get("x-sum").cloned()),
            Some("1".parse().map_err(Error::other)?)
        );
    }
    Ok(())
}

/// What can be read of a beginning.
fn readable(coding: &str, bytes: &[u8]) -> String {
    let mut content = vec![0; 4096];
    let mut length = 0;
    let mut reader: Box<dyn std::io::Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 1)),
        _ => match zstd::stream::read::Decoder::new(bytes) {
            Ok(reader) => Box::new(reader),
            Err(_) => return String::new(),
        },
    };
    while let Ok(read @ 1..) = reader.read(content.get_mut(length..length + 1).unwrap_or_default()) {
        length += read;
    }
    content.truncate(length);
    String::from_utf8_lossy(&content).into_owned()
}

#[tokio::test]
async fn a_compressed_answer_that_was_cut_never_looks_complete() -> Result<()> {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    ] {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(head).await?;
            wire.send("hello").await
        })
        .await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n\r\n").await?;
        let rest = client.rest().await?;
        assert!(!rest.is_empty() && !rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
        let mut h2 = Client::connect(proxy.http_addr()).await?;
        let request = with("GET", "http://app.test/", &[("accept-encoding", "gzip")]);
        assert!(h2.ask(request, b"").await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_client_of_http_1_0_reads_it_until_the_connection_ends() -> Result<()> {
    let app = app(TEXT).await?;
    let proxy = start_for(&app).await?;
    let answer = ask_with(&proxy, "GET", "1.0", "gzip").await?;
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    assert!(answer.fields("transfer-encoding").is_empty());
    assert_eq!(decoded("gzip", &answer.body)?, page());
    Ok(())
}

#[tokio::test]
async fn large_answers_are_compressed_while_others_are_served() -> Result<()> {
    let body = "0123456789abcdef\n".repeat(300_000);
    let app = Upstream::raw(move |mut wire, _| {
        let body = body.clone();
        async move {
            wire.message(Kind::Request).await?;
            let length = body.len();
            wire.send(format!("HTTP/1.1 200 OK\r\n{TEXT}Content-Length: {length}\r\n\r\n")).await?;
            wire.send(body).await
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let (one, other) = tokio::join!(ask(&proxy, "gzip"), ask(&proxy, "zstd"));
    assert_eq!(decoded("gzip", &one?.body)?.len(), 5_100_000);
    assert_eq!(decoded("zstd", &other?.body)?.len(), 5_100_000);
    Ok(())
}
