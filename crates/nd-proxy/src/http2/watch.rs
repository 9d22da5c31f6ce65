//! What a client costs, by the frames it sends: those that carry nothing are paid from an allowance, and a connection
//! that has used it up is ended.
//!
//! The floods of HTTP/2 are all of one kind: cheap frames that make the server work (rapid reset, CVE-2023-44487; PING,
//! SETTINGS, empty and CONTINUATION frames, CVE-2019-9511 to 9518, CVE-2024-27316). What a request costs is limited
//! elsewhere.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

/// What a connection may use at once; it begins with so much.
const ALLOWANCE: u32 = 4000;
/// Time gives back so much each second …
const PER_SECOND: u32 = 800;
/// … and so many bytes that the client takes from us give back one: whoever reads much acknowledges much.
const BYTES_PER_POINT: usize = 64;

/// Bytes of the preface, before the first frame.
const PREFACE_BYTES: usize = 24;
/// Bytes of a frame's header (RFC 9113, section 4.1).
pub(super) const HEADER_BYTES: usize = 9;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    frames: RefCell<Frames>,
    left: Cell<u32>,
    counted: Cell<Instant>,
    exhausted: Cell<bool>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            frames: RefCell::new(Frames { skip: PREFACE_BYTES, header: [0; HEADER_BYTES], have: 0 }),
            left: Cell::new(ALLOWANCE),
            counted: Cell::new(Instant::now()),
            exhausted: Cell::new(false),
        }
    }

    /// Whether the client has used up its allowance: nothing more should be read from it.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// The client has sent these bytes.
    pub(crate) fn read(&self, bytes: &[u8]) {
        let cost = self.frames.borrow_mut().cost(bytes);
        if cost > self.left.get() {
            self.give_back_for_time();
        }
        self.exhausted.set(self.exhausted.get() || cost > self.left.get());
        self.left.set(self.left.get().saturating_sub(cost));
    }

    /// The client has taken so many bytes.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.give_back(u32::try_from(bytes / BYTES_PER_POINT).unwrap_or(ALLOWANCE));
    }

    fn give_back_for_time(&self) {
        let passed = self.counted.replace(Instant::now()).elapsed().min(Duration::from_secs(60));
        self.give_back((passed * PER_SECOND).as_secs().try_into().unwrap_or(ALLOWANCE));
    }

    fn give_back(&self, points: u32) {
        self.left.set(self.left.get().saturating_add(points).min(ALLOWANCE));
    }
}

/// Where in the stream of frames we are.
#[derive(Debug)]
struct Frames {
    /// Bytes until the next frame.
    skip: usize,
    header: [u8; HEADER_BYTES],
    have: usize,
}

impl Frames {
    /// What the frames cost whose headers end in these bytes.
    fn cost(&mut self, mut bytes: &[u8]) -> u32 {
        let mut cost = 0_u32;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return cost };
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = *byte;
            }
            self.have += 1;
            bytes = rest;
            if self.have == HEADER_BYTES {
                cost = cost.saturating_add(self.begin_frame());
            }
        }
    }

    fn begin_frame(&mut self) -> u32 {
        let [a, b, c, kind, flags, ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.have = 0;
        self.skip = usize::try_from(length).unwrap_or(usize::MAX);
        let is_last = flags & 1 != 0;
        match kind {
            DATA if length == 0 && !is_last => 4,
            DATA | HEADERS => 0,
            RST_STREAM => 8,
            SETTINGS => 4 + length / 64,
            WINDOW_UPDATE | PRIORITY => 1,
            _ => 4, // PING, CONTINUATION, GOAWAY, and what we do not know
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER_BYTES + usize::from(length), 7);
        frame
    }

    fn watched(frame: &[u8], times: usize, piece: usize) -> bool {
        let watch = Watch::new();
        let bytes = [PREFACE.as_slice(), &frame.repeat(times)].concat();
        bytes.chunks(piece).for_each(|piece| watch.read(piece));
        watch.is_exhausted()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_nothing_use_up_the_allowance_however_they_arrive() {
        for (kind, length, enough) in [(6, 8, 1001), (3, 4, 501), (4, 0, 1001), (9, 0, 1001), (8, 4, 4001)] {
            for piece in [1, 7, 8192] {
                assert!(watched(&frame(kind, 0, length), enough, piece), "{kind}");
                assert!(!watched(&frame(kind, 0, length), enough - 1, piece), "{kind}");
            }
        }
        assert!(watched(&frame(DATA, 0, 0), 1001, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_something_are_free() {
        let useful = [frame(DATA, 0, 1), frame(DATA, 1, 0), frame(HEADERS, 4, 20)].concat();
        assert!(!watched(&useful, 10_000, 4096));
    }

    #[tokio::test(start_paused = true)]
    async fn time_and_work_give_the_allowance_back() {
        let watch = Watch::new();
        watch.read(PREFACE);
        for _ in 0..20 {
            watch.read(&frame(6, 0, 8).repeat(200));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        for _ in 0..10_000 {
            watch.read(&frame(WINDOW_UPDATE, 0, 4));
            watch.wrote(64);
        }
        assert!(!watch.is_exhausted());
        watch.read(&frame(6, 0, 8).repeat(1001));
        assert!(watch.is_exhausted());
    }
}
