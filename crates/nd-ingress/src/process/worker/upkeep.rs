//! What a worker does for the time after it: the holder always has what the next worker needs.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nd_proxy::SocketSet;
use nd_supervise::{blocking, thread};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::super::holder::START;
use super::super::kept::{Kept, succeed};
use super::super::link::{self, PEER};
use super::super::message::{Answer, ToHolder, ToWorker};
use super::Event;

/// How much longer than a worker may take until it serves the answer about it may take.
const SLACK: Duration = Duration::from_secs(10);

/// What the worker has for the holder, and the way to it.
pub(super) struct Upkeep {
    kept: Arc<Mutex<Kept>>,
    holder: Arc<Mutex<UnixStream>>,
    heard: mpsc::Sender<Event>,
    said: broadcast::Sender<Answer>,
    requests: AtomicU64,
    replacements: Mutex<BTreeMap<u64, oneshot::Sender<Option<String>>>>,
}

impl Upkeep {
    pub(super) fn new(kept: Kept, holder: UnixStream, heard: mpsc::Sender<Event>) -> io::Result<Self> {
        holder.set_write_timeout(Some(PEER))?;
        listen(holder.try_clone()?, heard.clone())?;
        Ok(Self {
            kept: Arc::new(Mutex::new(kept)),
            holder: Arc::new(Mutex::new(holder)),
            heard,
            said: broadcast::Sender::new(4),
            requests: AtomicU64::new(0),
            replacements: Mutex::default(),
        })
    }

    /// The socket that the daemon comes to.
    pub(super) fn control(&self) -> io::Result<UnixListener> {
        let listener = self.kept.lock().control.try_clone()?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }

    pub(super) fn settings(&self) -> Value {
        self.kept.lock().settings.clone()
    }

    /// Says something to every daemon that is connected.
    pub(super) fn announce(&self, answer: &Answer) {
        self.said.send(answer.clone()).ok(); // nobody is connected
    }

    pub(super) fn announcements(&self) -> broadcast::Receiver<Answer> {
        self.said.subscribe()
    }

    /// Leaves a state that serves with the holder, before anybody is told that it does.
    pub(super) async fn keep(&self, state: Value) {
        self.kept.lock().state = Some(state.clone());
        self.send(ToHolder::Keep { state }, Vec::new()).await;
    }

    /// Leaves keys of session tickets with the holder.
    pub(super) async fn keep_tickets(&self, keys: Value) {
        self.kept.lock().tickets = Some(keys.clone());
        self.send(ToHolder::Serving { tickets: Some(keys) }, Vec::new()).await;
    }

    /// Leaves the sockets of the open host ports with the holder, if they are others than before.
    pub(super) async fn keep_ports(&self, open: Vec<SocketSet>) -> io::Result<()> {
        let mut ports = Vec::with_capacity(open.len());
        for set in &open {
            ports.push(set.fds().map(|fd| fd.try_clone_to_owned()).collect::<io::Result<Vec<OwnedFd>>>()?);
        }
        let copies = ports.iter().flatten().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
        let counts = ports.iter().map(Vec::len).collect();
        self.kept.lock().ports = ports;
        self.send(ToHolder::Ports { ports: counts }, copies).await;
        Ok(())
    }

    /// Asks the holder for another worker, and waits until it serves.
    pub(super) async fn replace(
        &self,
        program: String,
        settings: Value,
        grace_ms: u64,
    ) -> Result<(), String> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let (told, answer) = oneshot::channel();
        self.replacements.lock().insert(request, told);
        self.send(ToHolder::Replace { request, program, settings, grace_ms }, Vec::new()).await;
        let answer = tokio::time::timeout(START + SLACK, answer).await;
        self.replacements.lock().remove(&request);
        match answer {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(error))) => Err(error),
            Ok(Err(_)) | Err(_) => Err("the proxy's holder does not answer".to_owned()),
        }
    }

    pub(super) fn replaced(&self, request: u64, error: Option<String>) {
        if let Some(told) = self.replacements.lock().remove(&request) {
            told.send(error).ok(); // whoever asked has given up
        }
    }

    /// Ends the whole data plane.
    pub(super) async fn stop(&self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.send(ToHolder::Stop { grace_ms }, Vec::new()).await;
        self.heard.send(Event::Stop(grace)).await.ok(); // it ends already
    }

    /// The holder is gone: starts another one and gives it everything.
    pub(super) async fn start_holder(&self) {
        tracing::error!("the proxy's holder is gone; starting another one");
        let (kept, holder, heard) = (Arc::clone(&self.kept), Arc::clone(&self.holder), self.heard.clone());
        let started = blocking("start a holder", move || {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_write_timeout(Some(PEER))?;
            // Its end is seen at its link, and the system reaps it when this process has ended.
            succeed(&kept.lock(), theirs.as_fd())?;
            listen(ours.try_clone()?, heard)?;
            *holder.lock() = ours;
            io::Result::Ok(())
        });
        match started.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "no holder: this worker goes on without one"),
            Err(error) => tracing::error!(%error, "no holder: this worker goes on without one"),
        }
    }

    async fn send(&self, message: ToHolder, fds: Vec<OwnedFd>) {
        let holder = Arc::clone(&self.holder);
        let sent = blocking("tell the holder", move || {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            link::send(&holder.lock(), &message, &fds)
        });
        if let Ok(Err(error)) = sent.await {
            // Its end is heard of as well, and the next holder gets everything.
            tracing::warn!(%error, "the proxy's holder could not be told");
        }
    }
}

/// Reads what the holder says, in a thread of its own, until it is gone.
fn listen(holder: UnixStream, heard: mpsc::Sender<Event>) -> io::Result<()> {
    thread("holder", move || {
        loop {
            let event = match link::receive::<ToWorker>(&holder) {
                Ok(Some((ToWorker::HandOver { grace_ms }, _))) => {
                    Event::HandOver(Duration::from_millis(grace_ms))
                }
                Ok(Some((ToWorker::Replaced { request, error }, _))) => Event::Replaced(request, error),
                Ok(Some((ToWorker::Start(_), _))) => continue,
                Ok(None) | Err(_) => {
                    heard.blocking_send(Event::Orphaned).ok(); // the worker ends
                    return;
                }
            };
            if heard.blocking_send(event).is_err() {
                return;
            }
        }
    })
    .map(drop)
}
