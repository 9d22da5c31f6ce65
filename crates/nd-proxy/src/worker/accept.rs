//! Taking connections from a listener.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use nd_supervise::CancellationToken;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Worker;
use super::client::Client;
use super::connection::Connection;
use super::entry::Entry;
use super::greeting;
use super::raw;
use super::secure;
use crate::net::accepted::Accepted;
use crate::net::bind::BACKLOG;
use crate::net::wire::Wire;
use crate::pages::{self, Refusal};
use crate::worker::plan::Request;

/// When the system cannot give us a connection (no descriptors left), trying again at once would be in vain.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Accepts until told to stop; what the kernel has already accepted by then is still served.
pub(crate) async fn run(
    worker: Rc<Worker>,
    listener: AsyncFd<TcpListener>,
    entry: Rc<Entry>,
    stop: CancellationToken,
) {
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.async_io(Interest::READABLE, accept) => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                serve(&worker, &entry, stream, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "accept connections; trying again until it works");
                }
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
    for _ in 0..BACKLOG {
        let Ok((stream, peer)) = accept(listener.get_ref()) else { break };
        serve(&worker, &entry, stream, peer);
    }
}

/// Takes a connection that the kernel has accepted.
fn accept(listener: &TcpListener) -> io::Result<(Accepted, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((Accepted::new(socket), peer.try_into()?))
}

fn serve(worker: &Rc<Worker>, entry: &Rc<Entry>, stream: Accepted, peer: SocketAddr) {
    worker.counters().accepted.add(1);
    if !has_room(worker) {
        worker.counters().turned_away.add(1);
        if !matches!(**entry, Entry::Secure) {
            turn_away(worker, &stream, peer);
        }
        return;
    }
    let registered = worker.signals.register();
    let open = OpenConnection::count(worker);
    if let Some(app) = entry.raw() {
        let worker = Rc::clone(worker);
        worker.clone().tasks.spawn("raw connection", async move {
            let _open = open;
            raw::run(&worker, app, stream, registered).await;
        });
    } else {
        let (tasks, worker, entry) = (&worker.tasks, Rc::clone(worker), Rc::clone(entry));
        // In a box, because whoever spawns it moves it several times.
        let connection = Box::pin(async move {
            let (_open, mut wire) = (open, Wire::new(stream));
            let Some(arrival) = greeting::client_of(&worker, &mut wire, peer.ip()).await else { return };
            let client = Client::new(&worker, &entry, arrival);
            if matches!(*entry, Entry::Secure) {
                secure::run(client, registered, wire).await;
            } else {
                Connection::new(client, registered, wire).run().await;
            }
        });
        tasks.spawn("connection", connection);
    }
}

/// Whether there is room for one more connection, or somebody idle makes some. They do so a moment later: no more than a
/// few beyond the limit are ever open.
fn has_room(worker: &Worker) -> bool {
    let (open, limit) = (worker.signals.count(), worker.max_connections);
    open < limit || (open <= limit + limit / 8 && worker.signals.close_idle())
}

/// A short answer that fits into any socket buffer; whether it is read is up to the client.
fn turn_away(worker: &Worker, stream: &Accepted, peer: SocketAddr) {
    let mut answer = Vec::new();
    let mut request = Request::unknown(worker, &peer.ip().to_canonical().to_string());
    request.account.refused(Refusal::TooManyConnections.status(), 0);
    pages::write(&mut answer, &Refusal::TooManyConnections, request.addressee(false));
    if let Err(error) = stream.try_write(&answer) {
        tracing::trace!(%error, "a client that was turned away went first");
    }
}

/// Errors of `accept` that concern the connection, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Counts a connection for as long as it lives.
struct OpenConnection(Rc<Worker>);

impl OpenConnection {
    fn count(worker: &Rc<Worker>) -> Self {
        worker.counters().connections.add(1);
        Self(Rc::clone(worker))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.counters().connections.subtract(1);
    }
}
