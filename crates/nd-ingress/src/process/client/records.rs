//! Access records of the worker that serves, and of those that only finish.

use futures_util::{SinkExt, StreamExt};
use nd_supervise::{CancellationToken, TaskSet};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::bytes::{Buf as _, Bytes};

use super::super::message::{Answer, RECORDS, Reply, Request, Wish};
use super::super::wire;
use super::{ProcessIngress, RETRY};

impl ProcessIngress {
    /// Brings every batch of access records (JSON lines) to `into`, until its receiver is gone. While nobody takes them, the
    /// proxy keeps some.
    ///
    /// They have connections of their own: a slow disk delays no order to the proxy.
    pub async fn records(&self, into: mpsc::Sender<Bytes>) {
        let readers = TaskSet::new("access records");
        while !into.is_closed() {
            if let Ok(stream) = UnixStream::connect(self.inner.launch.socket()).await {
                let (into, lost) = (into.clone(), CancellationToken::new());
                let read = read(stream, into.clone(), lost.clone());
                readers.spawn("access records", read);
                tokio::select! {
                    () = lost.cancelled() => {}
                    () = into.closed() => {}
                }
            }
            sleep(RETRY).await;
        }
    }
}

/// Reads to the end of the connection; another one is needed from `lost` on.
async fn read(stream: UnixStream, into: mpsc::Sender<Bytes>, lost: CancellationToken) {
    let _ended = lost.clone().drop_guard();
    let mut frames = wire::frames(stream);
    let Ok(wish) = serde_json::to_vec(&Request { id: 0, what: Wish::Records }) else { return };
    if frames.send(Bytes::from(wish)).await.is_err() {
        return;
    }
    while let Some(Ok(mut frame)) = frames.next().await {
        if frame.first() == Some(&RECORDS) {
            frame.advance(1);
            if into.send(frame.freeze()).await.is_err() {
                return;
            }
        } else if let Ok(Reply { what: Answer::Retiring, .. }) = serde_json::from_slice(&frame) {
            lost.cancel();
        }
    }
}
