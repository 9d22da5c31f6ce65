//! Clients that go on through all swaps, and check each answer: it is whole, and from a release that may serve.

use std::io::{Error, Result};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::Load;
use super::release::{PIECES, long, masked, read_frame};
use crate::http2::client::{Client, to, whole};
use crate::support::{Kind, Wire, within};

/// Between the pieces of an upload, and the messages of a WebSocket.
const PAUSE: Duration = Duration::from_millis(10);
/// A service restarts (RFC 6455, section 7.4.1, and its registry of codes).
const RESTARTS: [u8; 2] = 1012_u16.to_be_bytes();

impl Load {
    /// Orders, each of which must be executed once; on one connection, which nobody may close, or on a new one each.
    pub(super) async fn orders(&self, number: usize, keeps_alive: bool) -> Result<()> {
        let mut wire = Wire::connect(self.proxy).await?;
        for n in 0.. {
            if self.is_over() {
                return Ok(());
            }
            let (order, before) = (format!("{number}-{n}"), self.acknowledged.load(Ordering::SeqCst));
            let body = "x".repeat(n % 3 * 5000);
            let head = format!("POST /order/{order} HTTP/1.1\r\nHost: app.test\r\n");
            let framed = match n % 2 {
                0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
                _ if body.is_empty() => "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
                _ => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            };
            wire.send(head + &framed).await?;
            let answer = wire.response().await?;
            let text = answer.text();
            let release = self.check(answer.status(), &text, before)?;
            self.ordered.lock().push(order);
            if text != format!("{release}\n{body}") {
                return Err(Error::other(format!("wrong text after {release}")));
            }
            if !keeps_alive {
                wire = Wire::connect(self.proxy).await?;
            }
        }
        Ok(())
    }

    /// Orders on several streams of one connection of HTTP/2.
    pub(super) async fn streams(&self, number: usize) -> Result<()> {
        let mut client = Client::connect(self.proxy).await?;
        for n in 0.. {
            if self.is_over() {
                return Ok(());
            }
            let before = self.acknowledged.load(Ordering::SeqCst);
            let mut answers = Vec::new();
            for stream in 0..4 {
                let order = format!("{number}-{n}-{stream}");
                let request = to("POST", &format!("http://app.test/order/{order}"));
                let (answer, mut upload) = client.send(request, false).await?;
                upload.send_data(Bytes::from(order.clone()), true).map_err(Error::other)?;
                answers.push((order, answer));
            }
            for (order, answer) in answers {
                let answer = whole(answer).await?;
                let text = answer.text();
                let release = self.check(answer.status(), &text, before)?;
                if text != format!("{release}\n{order}") {
                    return Err(Error::other(format!("wrong text on a stream: {text:.100}")));
                }
                self.ordered.lock().push(order);
            }
        }
        Ok(())
    }

    /// Long answers: downloads, events, and polls that wait for news.
    pub(super) async fn long_answers(&self, path: &str) -> Result<()> {
        let mut wire = Wire::connect(self.proxy).await?;
        while !self.is_over() {
            let before = self.acknowledged.load(Ordering::SeqCst);
            let answer = wire.get(path).await?;
            let text = answer.text();
            let release = self.check(answer.status(), &text, before)?;
            let is_whole = if path == "/poll" { text.ends_with('\n') } else { text == long(release) };
            if !is_whole {
                return Err(Error::other(format!("{path}: {} bytes", text.len())));
            }
        }
        Ok(())
    }

    /// Uploads that take their time.
    pub(super) async fn uploads(&self) -> Result<()> {
        let mut wire = Wire::connect(self.proxy).await?;
        while !self.is_over() {
            let before = self.acknowledged.load(Ordering::SeqCst);
            wire.send(format!(
                "PUT /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n",
                1000 * PIECES
            ))
            .await?;
            for _ in 0..PIECES {
                tokio::time::sleep(PAUSE).await;
                wire.send("u".repeat(1000)).await?;
            }
            let answer = wire.response().await?;
            let text = answer.text();
            let release = self.check(answer.status(), &text, before)?;
            if text != format!("{release}\n{}", "u".repeat(1000 * PIECES)) {
                return Err(Error::other(format!("an upload of {} bytes", text.len())));
            }
        }
        Ok(())
    }

    /// A WebSocket, which comes back after it was told that the service restarts.
    pub(super) async fn socket(&self) -> Result<()> {
        while !self.is_over() {
            let before = self.acknowledged.load(Ordering::SeqCst);
            let mut wire = Wire::connect(self.proxy).await?;
            wire.send(
                "GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .await?;
            let head = within("a head", wire.message(Kind::Response)).await??;
            let (opcode, said) = within("a greeting", read_frame(&mut wire)).await??;
            let is_switched = head.status() == 101;
            if is_switched && opcode == 0x88 && said == RESTARTS {
                self.restarted(&mut wire).await;
                continue;
            }
            let status = if is_switched { 200 } else { head.status() };
            self.check(status, &String::from_utf8_lossy(&said), before)?;
            self.converse(&mut wire).await?;
        }
        Ok(())
    }

    async fn restarted(&self, wire: &mut Wire) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
        wire.send(masked(0x88, &RESTARTS)).await.ok(); // the other side may be gone already
    }

    async fn converse(&self, wire: &mut Wire) -> Result<()> {
        for n in 0.. {
            let message = format!("message {n}");
            let code = if self.is_over() { &1000_u16.to_be_bytes()[..] } else { &[] };
            wire.send(if code.is_empty() { masked(0x81, message.as_bytes()) } else { masked(0x88, code) })
                .await?;
            match within("a frame", read_frame(wire)).await?? {
                (0x88, said) if said == RESTARTS => {
                    self.restarted(wire).await;
                    return Ok(());
                }
                (0x88, said) if said == code => return Ok(()),
                (0x81, text) if text == message.as_bytes() => tokio::time::sleep(PAUSE).await,
                other => return Err(Error::other(format!("{message}: {other:?}"))),
            }
        }
        Ok(())
    }
}
