//! One connection to a worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nd_supervise::{CancellationToken, TaskSet};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::bytes::Bytes;

use super::super::message::{Answer, Reply, Request, Wish};
use super::super::wire;

/// Requests that may wait to be written.
const QUEUE: usize = 64;

/// A connection to a worker; clones are the same one.
#[derive(Clone)]
pub(super) struct Link {
    requests: mpsc::Sender<(Request, oneshot::Sender<Answer>)>,
    next: Arc<AtomicU64>,
    closed: CancellationToken,
    retiring: CancellationToken,
    /// Ends the connection's task with the last clone.
    _tasks: Arc<TaskSet>,
}

impl Link {
    pub(super) fn over(stream: UnixStream) -> Self {
        let (requests, wanted) = mpsc::channel(QUEUE);
        let (closed, retiring) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskSet::new("proxy connection");
        let (ends, retires) = (closed.clone(), retiring.clone());
        tasks.spawn("proxy connection", async move {
            drive(stream, wanted, &retires).await;
            ends.cancel();
        });
        Self { requests, next: Arc::default(), closed, retiring, _tasks: Arc::new(tasks) }
    }

    /// Asks, and waits for the answer; `None` when the worker has gone without one.
    pub(super) async fn ask(&self, what: Wish) -> Option<Answer> {
        let (told, answer) = oneshot::channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.requests.send((Request { id, what }, told)).await.ok()?;
        answer.await.ok()
    }

    /// Asks for another worker in the place of this one.
    pub(super) async fn replace(
        &self,
        program: String,
        settings: Value,
        grace: Duration,
    ) -> Result<(), String> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        match self.ask(Wish::Replace { program, settings, grace_ms }).await {
            Some(Answer::Done) => Ok(()),
            Some(Answer::Failed { error }) => Err(error),
            Some(_) | None => Err("the running proxy went away".to_owned()),
        }
    }

    /// Whether another connection is needed.
    pub(super) fn is_lost(&self) -> bool {
        self.is_closed() || self.is_retiring()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Whether the worker at its other end only finishes.
    pub(super) fn is_retiring(&self) -> bool {
        self.retiring.is_cancelled()
    }

    /// Waits until another connection is needed.
    pub(super) async fn lost(&self) {
        tokio::select! {
            () = self.closed.cancelled() => {}
            () = self.retiring.cancelled() => {}
        }
    }

    /// Waits until the worker has gone.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

async fn drive(
    stream: UnixStream,
    mut wanted: mpsc::Receiver<(Request, oneshot::Sender<Answer>)>,
    retiring: &CancellationToken,
) {
    let mut frames = wire::frames(stream);
    let mut pending: BTreeMap<u64, oneshot::Sender<Answer>> = BTreeMap::new();
    loop {
        tokio::select! {
            asked = wanted.recv() => {
                let Some((request, told)) = asked else { return };
                let Ok(bytes) = serde_json::to_vec(&request) else { continue };
                pending.insert(request.id, told);
                if frames.send(Bytes::from(bytes)).await.is_err() {
                    return;
                }
            }
            frame = frames.next() => {
                let Some(Ok(frame)) = frame else { return };
                match serde_json::from_slice::<Reply>(&frame) {
                    Ok(Reply { id: None, what: Answer::Retiring }) => retiring.cancel(),
                    Ok(Reply { id, what }) => {
                        if let Some(told) = id.and_then(|id| pending.remove(&id)) {
                            told.send(what).ok(); // whoever asked has given up
                        }
                    }
                    Err(error) => tracing::warn!(%error, "an answer of the proxy is not understood"),
                }
            }
        }
    }
}
