//! Requests that mean one thing in HTTP/2 and another one in HTTP/1, told frame by frame: none of them reaches an app.

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Mutex;

use crate::raw::{END_HEADERS, END_STREAM, Frame, Raw, field, frame, get};
use crate::support::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
/// A head's first byte where its status is 200, and where it is 400 (RFC 7541, appendix A).
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;

type Fields<'f> = &'f [(&'f str, &'f str)];

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "app.test"), (":path", "/")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "app.test"), (":path", "/")];

fn block(fields: Fields<'_>) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered(u8),
    Reset,
    ConnectionEnded,
}

/// Sends frames on stream 1 of a connection of their own.
async fn fate(proxy: &nd_proxy::Proxy, frames: &[u8]) -> Result<Fate> {
    let mut raw = Raw::connect(proxy.http_addr()).await?;
    raw.send(frames).await?;
    loop {
        let Ok(Frame { kind, stream, payload, .. }) = within("a frame", raw.reader.next()).await? else {
            return Ok(Fate::ConnectionEnded);
        };
        match (kind, stream) {
            // The size of the table of fields may change in front of a head (RFC 7541, section 6.3).
            (HEADERS, 1) => {
                let status = payload.into_iter().find(|byte| byte & 0xe0 != 0x20);
                return Ok(Fate::Answered(status.unwrap_or(0)));
            }
            (RST_STREAM, 1) => return Ok(Fate::Reset),
            _ => {}
        }
    }
}

/// Whether each of these requests is refused, without the app having seen it, or its end.
async fn all_refused(attempts: &[(String, Vec<u8>)]) -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut passed = Vec::new();
    for (about, frames) in attempts {
        let (fate, seen) = (fate(&proxy, frames).await?, app.requests.swap(0, Ordering::SeqCst));
        if seen > 0 || !matches!(fate, Fate::Answered(BAD_REQUEST) | Fate::Reset | Fate::ConnectionEnded) {
            passed.push((about, fate, seen));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
    assert_eq!(fate(&proxy, &get(1, "/")).await?, Fate::Answered(OK));
    Ok(())
}

/// A request of these fields, and nothing behind them.
fn whole(fields: Fields<'_>) -> (String, Vec<u8>) {
    (format!("{fields:?}"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields)))
}

/// A GET with one more field.
fn with(name: &str, value: &str) -> (String, Vec<u8>) {
    whole(&[GET.as_slice(), &[(name, value)]].concat())
}

/// A GET with one of its own fields changed.
fn changed(name: &str, value: &str) -> (String, Vec<u8>) {
    whole(&GET.map(|(known, usual)| (known, if known == name { value } else { usual })))
}

/// A GET without one of its own fields.
fn without(name: &str) -> (String, Vec<u8>) {
    whole(&GET.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_field_that_would_be_another_one_in_http_1_is_refused() -> Result<()> {
    all_refused(&[
        with("X-Upper", "a"),
        with("a b", "c"),
        with("a:b", "c"),
        with("a\r\nb", "c"),
        with("a\0b", "c"),
        with("", "c"),
        with("a", "b\r\nTransfer-Encoding: chunked"),
        with("a", "b\nc"),
        with("a", "b\rc"),
        with("a", "b\0c"),
        with("a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        with("connection", "close"),
        with("connection", "x-request-id"),
        with("keep-alive", "1"),
        with("proxy-connection", "close"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "h2c"),
        with("te", "gzip"),
        with("te", "trailers, chunked"),
    ])
    .await
}

#[tokio::test]
async fn a_request_line_that_is_more_than_one_is_refused() -> Result<()> {
    all_refused(&[
        with(":path", "/other"),
        with(":method", "POST"),
        with(":authority", "other.test"),
        with(":scheme", "https"),
        with(":status", "200"),
        with(":unknown", "x"),
        with(":protocol", "websocket"),
        whole(&[("a", "b"), GET[0], GET[1], GET[2], GET[3]]),
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        changed(":path", ""),
        changed(":path", "hello-world"),
        changed(":path", "@other.test/"),
        changed(":path", "http://other.test/"),
        changed(":path", "/ HTTP/1.1\r\nHost: app.test\r\n\r\nGET /smuggled"),
        changed(":path", "/ HTTP/1.1"),
        changed(":path", "/\0"),
        changed(":path", "/\t"),
        changed(":path", "*"),
        changed(":method", "GET?"),
        changed(":method", "GET / HTTP/1.1\r\nA:"),
        changed(":method", "GET /"),
        changed(":method", ""),
        changed(":method", "CONNECT"),
        changed(":scheme", "http://app.test/?"),
        changed(":scheme", ""),
        changed(":scheme", "ftp"),
    ])
    .await
}

#[tokio::test]
async fn a_host_that_is_two_or_none_is_refused() -> Result<()> {
    all_refused(&[
        with("host", "other.test"),
        with("host", "app.test:8080"),
        with("host", "app.test, other.test"),
        with("host", ""),
        whole(&[GET.as_slice(), &[("host", "app.test"), ("host", "other.test")]].concat()),
        whole(&[GET.as_slice(), &[("host", "app.test"), ("host", "app.test")]].concat()),
        changed(":authority", ""),
        changed(":authority", "user@app.test"),
        changed(":authority", "app.test other.test"),
        changed(":authority", "app.test\r\nA: b"),
        changed(":authority", "app.test/x"),
        changed(":authority", "app.test?x"),
        changed(":authority", "app.test:80:80"),
        changed(":authority", "app.test,other.test"),
        changed(":authority", "%61pp.test"),
    ])
    .await
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_is_refused() -> Result<()> {
    let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let mut attempts = Vec::new();
    for (lengths, body) in [
        (&["5"][..], &b"hel"[..]),
        (&["5"], smuggled),
        (&["5"], b""),
        (&["5", "6"], b"hello"),
        (&["5", "5"], b"hello"),
        (&["5, 5"], b"hello"),
        (&["+5"], b"hello"),
        (&["-5"], b"hello"),
        (&["0x5"], b"hello"),
        (&[" 5"], b"hello"),
        (&[""], b"hello"),
        (&["18446744073709551621"], b"hello"),
    ] {
        let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        let head = frame(HEADERS, END_HEADERS, 1, &block(&[POST.as_slice(), &fields].concat()));
        attempts.push((format!("{lengths:?}"), [head, frame(0, END_STREAM, 1, body)].concat()));
    }
    attempts.push(with("content-length", "5"));
    all_refused(&attempts).await
}

#[tokio::test]
async fn what_follows_a_body_of_no_length_is_nobodys_request() -> Result<()> {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let app = Upstream::raw(move |mut wire, _| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let head = wire.message(Kind::Request).await?.head;
                seen.lock().await.push(head);
                wire.send(ok("done")).await?;
            }
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let head =
        frame(HEADERS, END_HEADERS, 1, &block(&[POST.as_slice(), &[("content-length", "0")]].concat()));
    let body = frame(0, END_STREAM, 1, b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_ne!(fate(&proxy, &[head, body].concat()).await?, Fate::Answered(OK));
    // Pseudo fields behind a body are dropped.
    let (head, end) = (frame(HEADERS, END_HEADERS, 1, &block(&POST)), block(&[(":path", "/smuggled")]));
    fate(&proxy, &[head, frame(HEADERS, END_STREAM | END_HEADERS, 1, &end)].concat()).await?;
    assert_eq!(fate(&proxy, &get(1, "/last")).await?, Fate::Answered(OK));
    let heads = heads.lock().await;
    assert!(heads.iter().any(|head| head.starts_with("GET /last ")), "{heads:#?}");
    assert!(!heads.iter().any(|head| head.contains("smuggled")), "{heads:#?}");
    Ok(())
}

#[tokio::test]
async fn a_trailer_that_would_change_the_request_is_refused() -> Result<()> {
    let mut attempts = Vec::new();
    for trailer in [
        ("content-length", "3"),
        ("host", "other.test"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x_forwarded_for", "6.6.6.6"),
        ("X-Upper", "a"),
        ("a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"),
    ] {
        let head = frame(HEADERS, END_HEADERS, 1, &block(&POST));
        let end = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[trailer]));
        attempts.push((format!("{trailer:?}"), [head, frame(0, 0, 1, b"hello"), end].concat()));
    }
    let head = frame(HEADERS, END_HEADERS, 1, &block(&POST));
    let middle = frame(HEADERS, END_HEADERS, 1, &block(&[("x-sum", "1")]));
    attempts
        .push(("trailers before the end".to_owned(), [head, middle, frame(0, END_STREAM, 1, b"x")].concat()));
    all_refused(&attempts).await
}
