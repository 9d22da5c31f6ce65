//! A client's connection that begins with a handshake.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::time::timeout;

use super::client::{Client, Introduced};
use super::connection::Connection;
use super::h2;
use super::plan::Request;
use super::signal::Registered;
use crate::net::stream::Stream;
use crate::net::wire::{READ_BYTES, Wire};
use crate::pages::{self, Refusal};
use crate::stats::HandshakeFailure;
use crate::tls::handshake::{self, Handshake};

/// Serves a connection to its end, from its handshake on.
pub(super) async fn run(client: Client, registered: Registered, wire: Wire) {
    let Some(begun) = Begun::one_more(&client) else { return };
    let patience = client.worker.settings.header_read_timeout;
    let shaken = match timeout(patience, shake(&client, wire)).await {
        Ok(Ok(handshake)) => handshake,
        Ok(Err(Failed::Plain(wire))) => return refuse(&client, *wire).await,
        Ok(Err(Failed::Unknown)) => return failed(&client, HandshakeFailure::UnknownName),
        Ok(Err(Failed::Broken(error))) => return failed(&client, HandshakeFailure::of(&error)),
        Err(_) => return failed(&client, HandshakeFailure::TooSlow),
    };
    drop(begun);
    client.worker.counters().handshakes.add(1);
    let Handshake { stream, name, verified_for, is_http2 } = shaken;
    let client = client.over_tls(Introduced { name, verified_for });
    let stream = Stream::Tls(stream);
    if is_http2 {
        // In a box: thousands of connections need less room for as long as they speak HTTP/1.
        Box::pin(h2::serve(client.over_http2(), registered, stream, BytesMut::new())).await;
    } else {
        Connection::new(client, registered, Wire::new(stream)).run().await;
    }
}

/// Scanners do that all day: it is counted.
fn failed(client: &Client, why: HandshakeFailure) {
    client.worker.counters().failed_handshakes.count(why);
    tracing::trace!(why = why.as_str(), "a handshake failed");
}

/// A handshake that goes on, counted.
struct Begun(Rc<Cell<usize>>);

impl Begun {
    /// None if there are too many: clients that go no further leave half of the connections to others.
    fn one_more(client: &Client) -> Option<Self> {
        let (worker, count) = (&client.worker, Rc::clone(&client.worker.handshakes));
        if count.get() >= worker.max_connections / 2 {
            worker.counters().turned_away.add(1);
            return None;
        }
        count.set(count.get() + 1);
        Some(Self(count))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Why there was no handshake.
enum Failed {
    Broken(io::Error),
    /// No certificate is for its name.
    Unknown,
    /// Somebody does not speak TLS.
    Plain(Box<Wire>),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

async fn shake(client: &Client, mut wire: Wire) -> Result<Handshake, Failed> {
    let worker = &client.worker;
    while wire.input.is_empty() {
        if poll_fn(|cx| wire.poll_fill(cx, READ_BYTES, &worker.buffers)).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    if !handshake::begins(&wire.input) {
        return Err(Failed::Plain(Box::new(wire)));
    }
    let (Stream::Accepted(stream), read, _) = wire.into_parts() else {
        return Err(io::Error::other("TLS is spoken over TCP alone").into());
    };
    let table = worker.table();
    let shaken = handshake::shake(stream, read, |hello| table.tls().choose(hello)).await?;
    shaken.ok_or(Failed::Unknown)
}

/// Whoever speaks plain HTTP here gets an answer that a person can read.
async fn refuse(client: &Client, mut wire: Wire) {
    let mut request = Request::unknown(&client.worker, client.peer());
    let bytes = pages::write(wire.output.writer(), &Refusal::PlainHttp, request.addressee(false));
    request.account.refused(Refusal::PlainHttp.status(), bytes);
    let flush = poll_fn(|cx| wire.poll_flush(cx));
    if !matches!(timeout(client.worker.settings.send_timeout, flush).await, Ok(Ok(()))) {
        tracing::trace!("a client that does not speak TLS went first");
    }
}
