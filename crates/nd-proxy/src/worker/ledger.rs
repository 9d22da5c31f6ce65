//! A worker's access records: written by hand into a buffer of its own, which is handed over when full or after a second.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nd_types::Timestamp;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::http1::forward::put_number;
use crate::journal::{Outbound, RecordBatch};

/// A buffer of this size is handed over.
const FULL: usize = 64 * 1024;
/// The others are handed over after this time.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// A batch that is much smaller than its buffer is copied, so that what waits takes no more room than it has bytes.
const SMALL: usize = FULL / 4;
/// Drafts of requests in flight are used again; so many spare ones are kept.
const MAX_SPARE: usize = 64;
/// A draft that has grown larger is given back to the allocator.
const MAX_SPARE_BYTES: usize = 2048;

/// One worker's records that nobody else has seen yet.
#[derive(Debug)]
pub(crate) struct Ledger {
    outbound: Arc<Outbound>,
    lines: RefCell<Vec<u8>>,
    count: Cell<u64>,
    spare: RefCell<Vec<Vec<u8>>>,
    clock: RefCell<Clock>,
    begun: Notify,
}

impl Ledger {
    pub(crate) fn new(outbound: Arc<Outbound>) -> Rc<Self> {
        Rc::new(Self {
            outbound,
            lines: RefCell::default(),
            count: Cell::new(0),
            spare: RefCell::default(),
            clock: RefCell::default(),
            begun: Notify::new(),
        })
    }

    /// An empty draft, for what a request's head says.
    pub(crate) fn draft(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a draft back.
    pub(crate) fn give(&self, mut draft: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MAX_SPARE && (1..=MAX_SPARE_BYTES).contains(&draft.capacity()) {
            draft.clear();
            spare.push(draft);
        }
    }

    /// Adds the line that `write` writes, for a request that began `ago`.
    pub(crate) fn add(&self, ago: Duration, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            lines.reserve(FULL + FULL / 8);
            self.begun.notify_one();
        }
        lines.extend_from_slice(b"{\"time\":\"");
        self.clock.borrow_mut().write(&mut lines, ago);
        lines.push(b'"');
        write(&mut lines);
        lines.extend_from_slice(b"}\n");
        self.count.set(self.count.get() + 1);
        let is_full = lines.len() >= FULL;
        drop(lines);
        if is_full {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self) {
        let mut buffer = self.lines.borrow_mut();
        if buffer.is_empty() {
            return;
        }
        let lines = if buffer.len() < SMALL {
            let copy = buffer.as_slice().to_vec();
            buffer.clear();
            copy
        } else {
            std::mem::take(&mut *buffer)
        };
        self.outbound.push(RecordBatch { lines, count: self.count.replace(0) });
    }

    /// Hands over in time what does not fill a buffer. Sleeps without a timer while nothing is written.
    pub(crate) async fn flush_in_time(self: Rc<Self>) {
        loop {
            self.begun.notified().await;
            sleep(FLUSH_EVERY).await;
            self.flush();
        }
    }
}

/// Writes times; the text of a second is written once.
#[derive(Debug, Default)]
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    fn write(&mut self, out: &mut Vec<u8>, ago: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let then = now.saturating_sub(ago);
        if self.second != then.as_secs() || self.text.is_empty() {
            self.second = then.as_secs();
            let second = Timestamp::from_second(i64::try_from(self.second).unwrap_or(i64::MAX));
            self.text = second.unwrap_or(Timestamp::MAX).to_string();
            self.text.truncate("2026-01-01T00:00:00".len());
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        let millis = then.subsec_millis();
        out.extend([100, 10, 1].map(|unit| digit(millis / unit)));
        out.push(b'Z');
    }
}

/// Appends a duration in milliseconds, with three decimals.
pub(crate) fn put_millis(out: &mut Vec<u8>, duration: Duration) {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    put_number(out, us / 1000);
    out.push(b'.');
    let rest = u32::try_from(us % 1000).unwrap_or(0);
    out.extend([100, 10, 1].map(|unit| digit(rest / unit)));
}

fn digit(number: u32) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// Appends what came from a client as the inside of a JSON string (RFC 8259, section 7), at most `limit` bytes of it.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8], limit: usize) {
    let text = text.get(..limit).unwrap_or(text);
    let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\');
    if text.iter().all(is_plain) {
        return out.extend_from_slice(text);
    }
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::Records;

    #[test]
    fn numbers_are_written_as_they_are() {
        let mut out = Vec::new();
        for number in [0, 7, 10, 1234, u64::MAX] {
            put_number(&mut out, number);
            out.push(b' ');
        }
        put_millis(&mut out, Duration::from_micros(12_045));
        assert_eq!(String::from_utf8(out).unwrap(), format!("0 7 10 1234 {} 12.045", u64::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_handed_over_after_a_second_and_a_full_buffer_at_once() {
        let outbound = Arc::new(Outbound::default());
        let (ledger, records) = (Ledger::new(Arc::clone(&outbound)), Records(outbound));
        let mut flush = std::pin::pin!(Rc::clone(&ledger).flush_in_time());
        ledger.add(Duration::ZERO, |out| out.extend_from_slice(b",\"n\":1"));
        let began = tokio::time::Instant::now();
        let batch = tokio::select! {
            () = flush.as_mut() => None,
            batch = records.next() => batch,
        };
        assert!(batch.is_some_and(|batch| batch.done().count == 1) && began.elapsed() >= FLUSH_EVERY);
        for _ in 0..80 {
            ledger.add(Duration::ZERO, |out| out.resize(out.len() + 1024, b' '));
        }
        let batch = records.next().await.unwrap().done();
        assert!(batch.lines.len() >= FULL && batch.count < 80, "{}", batch.count);
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_a_json_string(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = b"\"".to_vec();
            put_text(&mut out, &text, 100);
            out.push(b'"');
            let read: String = serde_json::from_slice(&out).unwrap();
            let expected = String::from_utf8_lossy(text.get(..100).unwrap_or(&text)).into_owned();
            prop_assert_eq!(read, expected);
            prop_assert!(!out.contains(&b'\n'));
        }
    }
}
