//! Live lines for one follower: a bounded queue that says how much it had to leave out.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use futures_util::Stream;
use futures_util::stream::unfold;
use nd_core::ports::{LogEntry, LogFilter, LogFollow};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many lines may wait for a slow follower.
const LINES: usize = 4096;

/// How many bytes of lines may wait; a line may be 256 KiB long.
const BYTES: usize = 4 << 20;

/// The writer's end; it is of no use any more once the stream is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    filter: LogFilter,
    queue: Weak<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<LogEntry>,
    bytes: usize,
    /// Lines left out after those that wait. While there are any, everything is left out, so that the gap has one place.
    missed: u64,
    closed: bool,
}

impl Follower {
    pub(crate) fn new(filter: LogFilter) -> (Self, impl Stream<Item = LogFollow> + Send + 'static) {
        let queue = Arc::new(Queue::default());
        let follower = Self { filter, queue: Arc::downgrade(&queue) };
        (follower, unfold(queue, |queue| async move { queue.next().await.map(|next| (next, queue)) }))
    }

    /// Hands over what passes the filter. Answers whether anybody still follows.
    pub(crate) fn push(&self, entries: &[LogEntry]) -> bool {
        let Some(queue) = self.queue.upgrade() else { return false };
        let mut waiting = queue.waiting.lock();
        for entry in entries.iter().filter(|entry| self.filter.admits(entry)) {
            waiting.push(entry);
        }
        drop(waiting);
        queue.changed.notify_one();
        true
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.upgrade() {
            queue.waiting.lock().closed = true;
            queue.changed.notify_one();
        }
    }
}

impl Waiting {
    fn push(&mut self, entry: &LogEntry) {
        if self.missed > 0 || self.lines.len() >= LINES || self.bytes + entry.line.len() > BYTES {
            self.missed += 1;
            return;
        }
        self.bytes += entry.line.len();
        self.lines.push_back(entry.clone());
    }

    fn pop(&mut self) -> Option<LogFollow> {
        if let Some(entry) = self.lines.pop_front() {
            self.bytes -= entry.line.len();
            return Some(LogFollow::Entry(entry));
        }
        let missed = std::mem::take(&mut self.missed);
        (missed > 0).then_some(LogFollow::Gap(missed))
    }
}

impl Queue {
    /// The next line or gap; `None` after the log was closed. Cancel safe.
    async fn next(&self) -> Option<LogFollow> {
        loop {
            {
                let mut waiting = self.waiting.lock();
                let next = waiting.pop();
                if next.is_some() || waiting.closed {
                    return next;
                }
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use nd_core::ports::{LogLevel, OutputStream};
    use nd_types::{Timestamp, UnitId};

    use super::*;

    fn entries(count: u64, line: &str) -> Vec<LogEntry> {
        let unit: UnitId = "shop-8f3k2a-1".parse().unwrap();
        let (app, at) = (unit.app().clone(), Timestamp::UNIX_EPOCH);
        let (stream, level, line) = (OutputStream::Stdout, LogLevel::Info, line.to_owned());
        let entry = LogEntry { seq: 0, at, app, unit, stream, level, line };
        (1..=count).map(|seq| LogEntry { seq, ..entry.clone() }).collect()
    }

    #[tokio::test]
    async fn a_slow_follower_gets_one_gap_in_its_place() {
        let (follower, stream) = Follower::new(LogFilter::default());
        let lines = entries(LINES as u64 + 10, "x");
        assert!(follower.push(&lines));
        let mut stream = Box::pin(stream);
        let first = stream.next().await;
        assert_eq!(first, lines.first().cloned().map(LogFollow::Entry));
        // There is room again, but what comes now stands behind the gap.
        follower.push(&entries(5, "x"));
        drop(follower);
        let rest: Vec<LogFollow> = stream.collect().await;
        assert_eq!(rest.len(), LINES);
        assert_eq!(rest.last(), Some(&LogFollow::Gap(15)));
    }

    #[tokio::test]
    async fn long_lines_are_bounded_by_their_bytes() {
        let (follower, stream) = Follower::new(LogFilter::default());
        follower.push(&entries(100, &"x".repeat(256 << 10)));
        drop(follower);
        let got: Vec<LogFollow> = stream.collect().await;
        assert_eq!((got.len(), got.last()), (17, Some(&LogFollow::Gap(84))));
    }

    #[tokio::test]
    async fn a_follower_that_left_is_known() {
        let (follower, stream) = Follower::new(LogFilter::default());
        drop(stream);
        assert!(!follower.push(&entries(1, "x")));
    }
}
