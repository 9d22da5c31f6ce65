//! The end of a client's connection, so that the client gets everything and knows that it is the end.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::net::buffers::Buffers;
use crate::net::wire::{READ_BYTES, Wire};

/// A client that was refused has so long to stop sending, so that it can read why.
const LINGER: Duration = Duration::from_secs(2);

/// Says that nothing follows.
pub(super) async fn say(client: &mut Wire) {
    if !matches!(timeout(LINGER, poll_fn(|cx| client.poll_finish(cx))).await, Ok(Ok(()))) {
        tracing::trace!("a client went before it could be told that this is the end");
    }
}

/// Reads and drops what the client still sends: closing at once would reset the connection, and the client might
/// lose the answer (RFC 9112, section 9.6).
pub(super) async fn linger(client: &mut Wire, buffers: &Buffers) {
    let drain = async {
        poll_fn(|cx| client.poll_finish(cx)).await?;
        loop {
            client.input.clear();
            if poll_fn(|cx| client.poll_fill(cx, READ_BYTES, buffers)).await? == 0 {
                return io::Result::Ok(());
            }
        }
    };
    match timeout(LINGER, drain).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::trace!(%error, "a refused client went away first"),
    }
}
