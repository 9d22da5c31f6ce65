//! `WS /ws/logs`: one JSON object a frame (RFC 6455), with a ping of 15 s.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::StatusCode;
use nd_api::v1::{LogFrame, LogQuery};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::logs::frames;
use crate::body::query;
use crate::refusal::Refusal;
use crate::server::Api;

const PING: Duration = Duration::from_secs(15);

/// Pings without any sign of life after which a reader counts as gone. A slow one finds a ping behind its lines.
const UNANSWERED: u32 = 3;

/// How long one frame may take to be taken by a reader; the store counts what it misses meanwhile.
const SEND: Duration = Duration::from_secs(30);

/// How long a reader may take to close its end.
const CLOSING: Duration = Duration::from_secs(1);

/// Lines before the live ones where the client does not say.
const TAIL: u32 = 200;

/// The largest frame a client may send; none is needed.
const INCOMING: usize = 4096;

pub(super) async fn logs(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let (mut parts, _) = request.into_parts();
    let asked: LogQuery = query(&parts)?;
    let asked = LogQuery { follow: true, tail: asked.tail.or(Some(TAIL)), ..asked };
    let Ok(room) = Arc::clone(&api.sockets).try_acquire_owned() else {
        let title = "too many log sockets are open; close some, or ask for /api/v1/logs";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "ND1015", title));
    };
    let frames = frames(&api, &asked).await?;
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => Ok(upgrade.max_message_size(INCOMING).on_upgrade(move |socket| async move {
            send_all(&api, socket, frames).await;
            drop(room);
        })),
        Err(rejection) => {
            Err(Refusal::invalid(format!("/ws/logs is a WebSocket: {}", rejection.body_text())))
        }
    }
}

async fn send_all(api: &Api, mut socket: WebSocket, mut frames: BoxStream<'static, LogFrame>) {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let message = tokio::select! {
            biased;
            () = api.closing.cancelled() => return close(socket, close_code::RESTART).await,
            incoming = socket.recv() => match incoming {
                Some(Err(_)) | None => return,
                // After a Close, too: the next look sends the answer to it, and then finds the end.
                Some(Ok(_)) => {
                    unanswered = 0;
                    continue;
                }
            },
            _ = ping.tick() => {
                if unanswered == UNANSWERED {
                    return close(socket, close_code::PROTOCOL).await;
                }
                unanswered += 1;
                Message::Ping(bytes::Bytes::new())
            }
            frame = frames.next() => match frame.and_then(|frame| serde_json::to_string(&frame).ok()) {
                Some(text) => Message::text(text),
                None => return close(socket, close_code::NORMAL).await,
            },
        };
        if !matches!(timeout(SEND, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Says why, and hears the reader out until it has closed its end (RFC 6455, section 7.1.1): a socket that is dropped
/// before takes what the reader has not read yet with it.
async fn close(mut socket: WebSocket, code: u16) {
    let frame = Message::Close(Some(CloseFrame { code, reason: "".into() }));
    let closed = async {
        socket.send(frame).await?;
        while let Some(message) = socket.recv().await {
            message?;
        }
        Ok::<(), axum::Error>(())
    };
    if !matches!(timeout(CLOSING, closed).await, Ok(Ok(()))) {
        tracing::debug!("a log reader left before it was told to");
    }
}
