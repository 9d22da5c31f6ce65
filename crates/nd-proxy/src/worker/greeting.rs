//! Before the first request: a balancer that is trusted to do so says whose bytes will follow.

use std::future::poll_fn;
use std::net::IpAddr;

use tokio::time::timeout;

use super::Worker;
use crate::introduction::{Introduced, Introduction, read};
use crate::net::wire::{READ_BYTES, Wire};

/// Where a client has come from, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) address: IpAddr,
    /// With TLS, which a balancer has taken off.
    pub(super) is_tls: bool,
}

/// Who the client is: the peer itself, or whom a trusted balancer names. `None` closes the connection: such a
/// balancer named nobody, or not in time.
pub(super) async fn client_of(worker: &Worker, wire: &mut Wire, peer: IpAddr) -> Option<Arrival> {
    if !worker.settings.is_introduced_by(peer) {
        return Some(Arrival { address: peer, is_tls: false });
    }
    let introduced = async {
        loop {
            match read(&wire.input) {
                Introduction::Of(length, Introduced { client, is_tls }) => {
                    wire.consume(length);
                    return Some(Arrival { address: client.unwrap_or(peer), is_tls });
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
