//! Access records on their way out of the data plane: batches of JSON lines, in a queue that never makes a request wait.

use std::collections::VecDeque;
use std::sync::Arc;

use nd_supervise::CancellationToken;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes that wait at most for whoever writes the records; beyond them records are dropped, and counted.
const MOST_WAITING: usize = 4 << 20;

/// Some access records: JSON lines, each an [`AccessRecord`](nd_types::AccessRecord), with its line feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBatch {
    /// The lines.
    pub lines: Vec<u8>,
    /// How many they are.
    pub count: u64,
}

/// The end of the queue where records are taken out; clones are the same one.
#[derive(Clone, Debug)]
pub struct Records(pub(crate) Arc<Outbound>);

impl Records {
    /// Waits for the next batch; `None` once the proxy has ended and everything was taken. Cancel safe.
    pub async fn next(&self) -> Option<RecordBatch> {
        loop {
            let arrived = self.0.arrived.notified();
            if let Some(batch) = self.0.take() {
                return Some(batch);
            }
            if self.0.closed.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = arrived => {}
                () = self.0.closed.cancelled() => {}
            }
        }
    }

    /// Puts back what could not be delivered, in front of everything else.
    pub fn put_back(&self, batch: RecordBatch) {
        let mut waiting = self.0.waiting.lock();
        waiting.bytes += batch.lines.len();
        waiting.batches.push_front(batch);
        drop(waiting);
        self.0.arrived.notify_one();
    }

    /// Waits until everything has been taken.
    pub async fn taken(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.0.waiting.lock().batches.is_empty() {
                return;
            }
            taken.await;
        }
    }
}

/// Batches of all workers.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    taken: Notify,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<RecordBatch>,
    bytes: usize,
    dropped: u64,
}

impl Outbound {
    /// Adds a batch, or drops and counts it where too much waits already.
    pub(crate) fn push(&self, batch: RecordBatch) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + batch.lines.len() > MOST_WAITING {
            waiting.dropped += batch.count;
            return;
        }
        waiting.bytes += batch.lines.len();
        waiting.batches.push_back(batch);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Records that were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.waiting.lock().dropped
    }

    fn take(&self) -> Option<RecordBatch> {
        let mut waiting = self.waiting.lock();
        let batch = waiting.batches.pop_front()?;
        waiting.bytes -= batch.lines.len();
        drop(waiting);
        self.taken.notify_waiters();
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize) -> RecordBatch {
        RecordBatch { lines: vec![b'x'; bytes], count: 10 }
    }

    #[tokio::test]
    async fn what_nobody_takes_is_dropped_and_counted() {
        let outbound = Arc::new(Outbound::default());
        let records = Records(Arc::clone(&outbound));
        for _ in 0..5 {
            outbound.push(batch(MOST_WAITING / 4));
        }
        assert_eq!(outbound.dropped(), 10);
        outbound.close();
        let mut taken = 0;
        while let Some(batch) = records.next().await {
            taken += batch.count;
        }
        assert_eq!(taken, 40);
        outbound.push(batch(1));
        assert_eq!(records.next().await, Some(batch(1)), "what comes last is not lost");
    }

    #[tokio::test]
    async fn what_could_not_be_delivered_comes_first_again() {
        let outbound = Arc::new(Outbound::default());
        let records = Records(Arc::clone(&outbound));
        outbound.push(batch(1));
        outbound.push(batch(2));
        let first = records.next().await.unwrap();
        records.put_back(first);
        assert_eq!(records.next().await, Some(batch(1)));
        assert_eq!(records.next().await, Some(batch(2)));
        records.taken().await;
    }
}
