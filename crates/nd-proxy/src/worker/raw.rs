//! A connection of a raw TCP host port: balanced once, then bytes in both directions.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::Worker;
use super::admission::{Ask, Patience, Reuse, admit};
use super::app::{App, InProgress};
use super::signal::{Kind, Registered};
use super::tunnel::Tunnel;
use crate::net::accepted::Accepted;
use crate::net::wire::Wire;

/// Serves one connection; it waits like a request while no unit is ready, and is closed where a request would be
/// refused.
pub(crate) async fn run(worker: &Worker, app: Option<Rc<App>>, stream: Accepted, registered: Registered) {
    let Some(app) = app else { return };
    poll_fn(|cx| {
        registered.signal.attach(cx);
        Poll::Ready(())
    })
    .await;
    let _progress = InProgress::of(&app);
    app.share().requests.add(1);
    let ask = Ask { reuse: Reuse::Raw, bytes: 0, wanted: None, lot: None, is_visit: false };
    let lease = match admit(worker, &app, ask, &mut Patience::default()).await {
        Ok(lease) => lease,
        Err(refusal) => {
            tracing::debug!(app = %app.name, ?refusal, "a raw connection was refused");
            return;
        }
    };
    let mut client = Wire::new(stream);
    let upstream = Wire::new(lease.stream);
    let tunnel = Tunnel::new(worker, &registered.signal, &mut client, upstream, Kind::Opaque);
    let moved = tunnel.run(&lease.in_flight).await;
    app.share().bytes_in.add(moved.up);
    app.share().bytes_out.add(moved.down);
}
