//! Bodies: streamed both ways, framed for whoever reads them, and never silently cut.

use std::io::Result;

use super::support::*;

#[tokio::test]
async fn each_piece_of_an_answer_arrives_when_it_is_written() -> Result<()> {
    let (more, wait) = tokio::sync::mpsc::channel::<()>(1);
    let wait = std::sync::Arc::new(tokio::sync::Mutex::new(wait));
    let app = Upstream::raw(move |mut wire, _| {
        let wait = wait.clone();
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
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    within("the head", client.through("\r\n\r\n")).await??;
    for n in 0..3 {
        more.send(()).await.map_err(std::io::Error::other)?;
        let piece = within("a piece before the next one is written", client.through("\n\r\n")).await??;
        assert_eq!(piece, format!("8\r\ndata: {n}\n\r\n"));
    }
    Ok(())
}

#[tokio::test]
async fn each_piece_of_an_upload_arrives_when_it_is_written() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await?;
        for _ in 0..3 {
            let piece = wire.exactly(2).await?;
            wire.send(piece).await?;
        }
        wire.rest().await.map(drop)
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\n").await?;
    within("the head", client.through("\r\n\r\n")).await??;
    for piece in [b"ab", b"cd", b"ef"] {
        client.send(piece).await?;
        assert_eq!(within("the echo", client.exactly(2)).await??, piece);
    }
    Ok(())
}

#[tokio::test]
async fn chunks_and_trailers_pass_both_ways() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        let request = wire.message(Kind::Request).await?;
        let body = format!("{}|{}", request.text(), request.trailers.trim_end());
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nX-Sum: 2\r\n\r\n",
            body.len()
        ))
        .await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let head = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n")).await?;
    let answer = client.response().await?;
    assert_eq!((answer.text().as_str(), answer.trailers.as_str()), ("hello!|X-Sum: 1", "X-Sum: 2\r\n"));
    Ok(())
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let body: Vec<u8> = (0..5_000_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client
        .send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await?;
    client.send(&body).await?;
    assert!(client.response().await?.body.ends_with(&body));
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    for piece in body.chunks(70_001) {
        client.send(format!("{:x}\r\n", piece.len())).await?;
        client.send(piece).await?;
        client.send("\r\n").await?;
    }
    client.send("0\r\n\r\n").await?;
    assert!(client.response().await?.body.ends_with(&body));
    Ok(())
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_chunked_for_the_client() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello ").await?;
        wire.send("world").await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..2 {
        let answer = client.get("/").await?;
        assert_eq!(answer.field("transfer-encoding").as_deref(), Some("chunked"));
        assert_eq!(answer.text(), "hello world");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_plain_bytes_and_a_close() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        )
        .await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n").await?;
    let answer = client.response().await?;
    assert_eq!((answer.field("transfer-encoding"), answer.text().as_str()), (None, "hello world"));
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    Ok(())
}

#[tokio::test]
async fn a_client_of_http_1_0_may_keep_its_connection() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n").await?;
        assert_eq!(client.response().await?.field("connection").as_deref(), Some("keep-alive"));
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_cut_never_looks_complete() -> Result<()> {
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhel"),
    ] {
        let app = Upstream::raw(move |mut wire, _| async move {
            wire.message(Kind::Request).await?;
            wire.send(head).await?;
            wire.send(piece).await
        })
        .await?;
        let proxy = start_for(&app).await?;
        let mut client = Wire::connect(proxy.http_addr()).await?;
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
        let rest = client.rest().await?;
        let text = String::from_utf8_lossy(&rest);
        assert!(text.contains("hel") && !text.ends_with("0\r\n\r\n"), "{piece:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.message(Kind::Request).await?.head;
            let answer = match head.split(' ').nth(1) {
                Some("/204") => "HTTP/1.1 204 No Content\r\n\r\n",
                Some("/304") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
            };
            wire.send(answer).await?;
        }
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(client.get("/204").await?.status(), 204);
    assert_eq!(client.get("/304").await?.status(), 304);
    client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    let answer = client.message(Kind::Bodiless).await?;
    assert_eq!(answer.field("content-length").as_deref(), Some("10"));
    assert_eq!(client.get("/204").await?.status(), 204);
    assert_eq!(app.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn the_app_decides_whether_an_announced_body_is_sent() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        let head = wire.through("\r\n\r\n").await?;
        if head.contains("/refuse") {
            return wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        }
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
        let body = wire.exactly(5).await?;
        wire.send(ok(&String::from_utf8_lossy(&body))).await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let post = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send(post("/refuse")).await?;
    assert_eq!(client.response().await?.status(), 403);
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send(post("/accept")).await?;
    assert_eq!(client.response().await?.status(), 100);
    client.send("hello").await?;
    assert_eq!(client.response().await?.text(), "hello");
    Ok(())
}

#[tokio::test]
async fn early_hints_pass() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await?;
        wire.send(ok("done")).await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let hints = client.get("/").await?;
    assert_eq!((hints.status(), hints.field("link").as_deref()), (103, Some("</a.css>")));
    assert_eq!(client.response().await?.text(), "done");
    Ok(())
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_is_passed_on() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await
    })
    .await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10000000\r\n\r\nhello").await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.text().as_str()), (413, "no"));
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    Ok(())
}
