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
    pub async fn next(&self) -> Option<Delivery> {
        loop {
            let arrived = self.0.arrived.notified();
            if let Some(batch) = self.0.take() {
                return Some(Delivery { batch: Some(batch), from: Arc::clone(&self.0) });
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

    /// Waits until everything has been delivered.
    pub async fn delivered(&self) {
        loop {
            let delivered = self.0.delivered.notified();
            if self.0.is_delivered() {
                return;
            }
            delivered.await;
        }
    }
}

/// A batch on its way; dropped before it is [done](Delivery::done), it comes first again.
#[derive(Debug)]
pub struct Delivery {
    batch: Option<RecordBatch>,
    from: Arc<Outbound>,
}

impl Delivery {
    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        self.batch.as_ref().map_or(&[], |batch| &batch.lines)
    }

    /// It has arrived.
    #[must_use]
    pub fn done(mut self) -> RecordBatch {
        self.batch.take().unwrap_or_default()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut waiting = self.from.waiting.lock();
        waiting.under_way = waiting.under_way.saturating_sub(1);
        if let Some(batch) = self.batch.take() {
            waiting.bytes += batch.lines.len();
            waiting.batches.push_front(batch);
            self.from.arrived.notify_one();
        }
        drop(waiting);
        self.from.delivered.notify_waiters();
    }
}

/// Batches of all workers.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    delivered: Notify,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<RecordBatch>,
    bytes: usize,
    /// Batches that are being delivered.
    under_way: usize,
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

    fn is_delivered(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.batches.is_empty() && waiting.under_way == 0
    }

    fn take(&self) -> Option<RecordBatch> {
        let mut waiting = self.waiting.lock();
        let batch = waiting.batches.pop_front()?;
        waiting.bytes -= batch.lines.len();
        waiting.under_way += 1;
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
        while let Some(delivery) = records.next().await {
            taken += delivery.done().count;
        }
        assert_eq!(taken, 40);
        outbound.push(batch(1));
        assert_eq!(records.next().await.unwrap().done(), batch(1), "what comes last is not lost");
    }

    #[tokio::test]
    async fn what_could_not_be_delivered_comes_first_again() {
        let outbound = Arc::new(Outbound::default());
        let records = Records(Arc::clone(&outbound));
        outbound.push(batch(1));
        outbound.push(batch(2));
        drop(records.next().await.unwrap());
        assert_eq!(records.next().await.unwrap().done(), batch(1));
        let second = records.next().await.unwrap();
        assert_eq!(second.lines().len(), 2);
        tokio::join!(records.delivered(), async { drop(second.done()) });
    }
}
