//! Requests that two readers could understand differently never reach an app.

use std::io::Result;

use super::support::*;

/// Each is followed by a second request that would be the smuggled one.
const ATTEMPTS: &[&str] = &[
    // lengths
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5, 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: +5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: -5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0x5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length : 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: \r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5;\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5e0\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: \u{665}\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: app.test\r\n\x0bContent-Length: 5\r\n\r\nhello",
    // codings
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: identity\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding\x00: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding:\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // line ends
    "GET / HTTP/1.1\nHost: app.test\n\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\r\n c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\r\n\tTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\r\r\n\r\n",
    "GET / HTTP/1.1\r\r\nHost: app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\n\n",
    "GET / HTTP/1.1\r\n Host: app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost\t: app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA\x00B: c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\x7fc\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: app.test\r\nA: b\0c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nA: b\0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\n: x\r\n\r\n",
    // hosts and targets
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test other\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test/x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: user@app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test:80:80\r\n\r\n",
    "GET http://other.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET / HTTP/1.1 x\r\nHost: app.test\r\n\r\n",
    "GET / x HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET app.test HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET /a#b HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test, other.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test?x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test#x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\\x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test:-1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test:99999\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: http://app.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: %61pp.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: app.test\0\r\n\r\n",
    "GET http://app.test:81/ HTTP/1.1\r\nHost: app.test:80\r\n\r\n",
    "GET http://app.test:8080/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET http://app.test/ HTTP/1.1\r\nHost: app.test:8080\r\n\r\n",
    "GET http://app.test@other.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET http:///x HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET http://app.test\\@other.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET http://app.test/ HTTP/1.1\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "OPTIONS */x HTTP/1.1\r\nHost: app.test\r\n\r\n",
    // request lines
    "GET /\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: app.test\r\n\r\n",
    "GET / HTTP/1.1\tx\r\nHost: app.test\r\n\r\n",
    "GET /\x00 HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET /\x7f HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "GET / http/1.1\r\nHost: app.test\r\n\r\n",
    " GET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "G@T / HTTP/1.1\r\nHost: app.test\r\n\r\n",
];

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_nothing_of_it_reaches_the_app() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    for attempt in ATTEMPTS {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send(format!("{attempt}GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")).await?;
        let answer = client.response().await?;
        assert_eq!(answer.status(), 400, "{attempt:?}");
        assert_eq!(answer.field("connection").as_deref(), Some("close"), "{attempt:?}");
        client.closed().await?;
    }
    assert_eq!((app.requests(), app.connections()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_malformed_chunked_body_is_refused_and_the_app_never_sees_its_end() -> Result<()> {
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5 ;a\r\nhello\r\n0\r\n\r\n",
        "zz\r\n",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "5;\x01\r\nhello\r\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\nHost: other.test\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
        "0\r\nX\0: y\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0 \r\n\r\n",
        "+0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\r\r\nhello\r\n0\r\n\r\n",
        "5;\u{e9}\r\nhello\r\n0\r\n\r\n",
    ] {
        let app = Upstream::named("app").await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        let head = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{body}GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n")).await?;
        assert_eq!(client.response().await?.status(), 400, "{body:?}");
        client.closed().await?;
        assert_eq!(app.requests(), 0, "{body:?}");
    }
    Ok(())
}

#[tokio::test]
async fn bytes_after_a_body_are_the_next_request_and_nothing_else() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: other.test\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 200);
    assert_eq!(client.response().await?.status(), 404);
    assert_eq!(app.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_with_more_bytes_than_it_declares_does_not_answer_the_next_request() -> Result<()> {
    let app = Upstream::raw(|mut wire, number| async move {
        wire.message(Kind::Request).await?;
        wire.send(format!("{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", ok(&number.to_string())))
            .await?;
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/").await?.text(), "0");
    assert_eq!(client.get("/").await?.text(), "1");
    Ok(())
}

#[tokio::test]
async fn an_answer_of_two_lengths_is_not_passed_on() -> Result<()> {
    for lines in
        ["Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: x, chunked", "Content-Length: +5"]
    {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nhello")).await
        })
        .await?;
        let proxy = start_for(&app).await?;
        let answer = Wire::connect(proxy.http_addr()).await?.get("/").await?;
        assert_eq!(answer.status(), 502, "{lines}");
    }
    Ok(())
}
