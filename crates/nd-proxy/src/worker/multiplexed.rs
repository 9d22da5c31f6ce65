//! Units that speak HTTP/2: one connection carries many requests.

use std::io;

use h2::client::Builder;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Worker;
use super::upstream::Upstream;
use crate::http2::app::AppStream;
use crate::http2::session::MAX_STREAMS;

/// An app may send so much of one answer ahead of its client …
const STREAM_WINDOW: u32 = 1024 * 1024;
/// … and so much of all of them on one connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// So much of a request is taken from its client ahead of a slow app.
const SEND_BUFFER: usize = 64 * 1024;

/// A stream on a connection to the unit, on a new one where `connect` is needed. Cancel safe.
pub(super) async fn stream(
    worker: &Worker,
    upstream: &Upstream,
    connect: impl Future<Output = Option<TcpStream>>,
) -> Option<AppStream> {
    if let Some(stream) = upstream.sessions.stream().await {
        return Some(stream);
    }
    let _turn = upstream.sessions.opening.lock().await;
    match upstream.sessions.stream().await {
        Some(stream) => Some(stream),
        None => match begin(worker, upstream, connect.await?).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(unit = %upstream.unit, address = %upstream.address, %error, "speak HTTP/2 with unit");
                None
            }
        },
    }
}

async fn begin(worker: &Worker, upstream: &Upstream, stream: TcpStream) -> io::Result<AppStream> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(worker.settings.max_head_bytes).unwrap_or(u32::MAX));
    let begun = timeout(worker.settings.connect_timeout, builder.handshake(stream)).await?;
    let (requests, connection) = begun.map_err(io::Error::other)?;
    worker.tasks.spawn("app connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP/2 connection to an app broke off");
        }
    });
    Ok(upstream.sessions.add(requests))
}
