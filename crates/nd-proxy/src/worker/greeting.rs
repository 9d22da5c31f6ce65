//! Before the first request: a balancer that is trusted to do so says whose bytes will follow.

use std::future::poll_fn;
use std::net::IpAddr;

use tokio::time::timeout;

use super::Worker;
use crate::introduction::{Introduction, read};
use crate::net::wire::{READ_BYTES, Wire};

/// The client's address: the peer's own, or the one that a trusted balancer names. `None` closes the connection: such a
/// balancer named nobody, or not in time.
pub(super) async fn client_of(worker: &Worker, wire: &mut Wire, peer: IpAddr) -> Option<IpAddr> {
    if !worker.settings.is_introduced_by(peer) {
        return Some(peer);
    }
    let introduced = async {
        loop {
            match read(&wire.input) {
                Introduction::Of(length, client) => {
                    wire.consume(length);
                    return Some(client.unwrap_or(peer));
                }
                Introduction::Invalid => return None,
                Introduction::Open => {}
            }
            if !matches!(poll_fn(|cx| wire.poll_fill(cx, READ_BYTES, &worker.buffers)).await, Ok(1..)) {
                return None;
            }
        }
    };
    timeout(worker.settings.header_read_timeout, introduced).await.ok().flatten()
}
