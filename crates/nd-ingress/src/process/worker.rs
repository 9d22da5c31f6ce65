//! The worker: the data plane itself, on sockets that the holder has, told what to serve by the daemon.

mod control;
mod upkeep;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::{Proxy, Settings, SocketSet};
use nd_supervise::{TaskHandle, TaskSet};
use nd_types::EdgeState;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::kept::Kept;
use super::link;
use super::message::{Answer, ToHolder, ToWorker};
use upkeep::Upkeep;

/// How long the daemon may take to fetch the last access records.
const LAST_RECORDS: Duration = Duration::from_millis(500);

/// Serves until another worker does, or the daemon says to stop.
pub(super) fn run(program: PathBuf, holder: &std::os::unix::net::UnixStream) -> io::Result<()> {
    let Some((ToWorker::Start(inventory), fds)) = link::receive(holder)? else {
        return Err(io::Error::other("the holder did not say what to serve"));
    };
    let (kept, _) = Kept::unpack(program, inventory, fds)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(kept, holder));
    if let Err(error) = &outcome {
        link::send(holder, &ToHolder::Failed { error: error.to_string() }, &[])?;
    }
    outcome
}

async fn serve(mut kept: Kept, holder: &std::os::unix::net::UnixStream) -> io::Result<()> {
    let proxy = start(&kept)?;
    let state = match &kept.state {
        Some(state) => serde_json::from_value(state.clone())?,
        None => EdgeState::default(),
    };
    proxy.apply(Arc::new(state)).await.map_err(io::Error::other)?;
    let mut tickets = proxy.ticket_keys();
    kept.tickets = Some(serde_json::to_value(&*tickets.borrow_and_update())?);
    link::send(holder, &ToHolder::Serving { tickets: kept.tickets.clone() }, &[])?;

    let (heard, mut events) = mpsc::channel(64);
    let upkeep = Arc::new(Upkeep::new(kept, holder.try_clone()?, heard)?);
    let mut control = Some(upkeep.control()?);
    let tasks = TaskSet::new("proxy control");
    let mut end = None;
    loop {
        tokio::select! {
            accepted = accept(control.as_ref()) => match accepted {
                Ok(stream) => {
                    let served = control::serve(stream, proxy.clone(), Arc::clone(&upkeep), tasks.clone());
                    tasks.spawn("control connection", served);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a control connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = finished(end.as_mut()) => {
                // What nobody fetches is lost with this process, and known to be by then.
                tokio::time::timeout(LAST_RECORDS, proxy.records().delivered()).await.ok();
                return Ok(());
            }
            Some(event) = events.recv() => match event {
                Event::HandOver(grace) if end.is_none() => {
                    control = None;
                    upkeep.announce(&Answer::Retiring);
                    let proxy = proxy.clone();
                    end = Some(tasks.spawn_with("hand over", async move { proxy.hand_over(grace).await }));
                }
                Event::Stop(grace) if end.is_none() => {
                    control = None;
                    let proxy = proxy.clone();
                    end = Some(tasks.spawn_with("shut down", async move { proxy.shutdown(grace).await }));
                }
                Event::Replaced(request, error) => upkeep.replaced(request, error),
                Event::Orphaned if end.is_none() => upkeep.start_holder().await,
                Event::HandOver(_) | Event::Stop(_) | Event::Orphaned => {}
            },
            Ok(()) = tickets.changed(), if end.is_none() => {
                let keys = serde_json::to_value(&*tickets.borrow_and_update())?;
                upkeep.keep_tickets(keys).await;
            }
        }
    }
}

/// The next connection of the daemon; none any more once another worker serves.
async fn accept(control: Option<&UnixListener>) -> io::Result<UnixStream> {
    match control {
        Some(control) => control.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn finished(end: Option<&mut TaskHandle<()>>) {
    match end {
        Some(end) => {
            if let Err(failure) = end.await {
                tracing::error!(%failure, "the end of the proxy");
            }
        }
        None => std::future::pending().await,
    }
}

/// What a worker hears of.
#[derive(Debug)]
enum Event {
    /// Another worker serves.
    HandOver(Duration),
    /// The daemon ends the data plane.
    Stop(Duration),
    /// What became of a replacement.
    Replaced(u64, Option<String>),
    /// The holder is gone.
    Orphaned,
}

fn start(kept: &Kept) -> io::Result<Proxy> {
    let settings: Settings = serde_json::from_value(kept.settings.clone())?;
    let set = |fds: &Vec<OwnedFd>| {
        SocketSet::from_fds(fds.iter().map(|fd| fd.as_fd().try_clone_to_owned()).collect::<io::Result<_>>()?)
    };
    let ports = kept.ports.iter().map(set).collect::<io::Result<_>>()?;
    let tickets = kept.tickets.clone().map(serde_json::from_value).transpose();
    // Of a version that has other ones: its clients shake hands anew.
    let tickets =
        tickets.inspect_err(|error| tracing::warn!(%error, "take over session tickets")).ok().flatten();
    Proxy::start_on(settings, set(&kept.main)?, ports, tickets).map_err(io::Error::other)
}
