//! A body on its way from one connection to another: framed, limited, and never more than a buffer ahead of its reader.

use std::task::{Context, Poll, ready};

use crate::http1::chunked::{ChunkReader, Step};
use crate::http1::reply::Coding;
use crate::http1::request::BodyLength;
use crate::http1::response::ResponseBody;

use super::body::Moving;
use super::buffers::Buffers;
use super::wire::{LONG_READ_BYTES, READ_BYTES, Wire};

/// A body is long from here on, and read in larger pieces.
const LONG_BODY: u64 = 64 * 1024;

/// One body.
#[derive(Debug)]
pub(crate) struct Pump {
    framing: Framing,
    coding: Coding,
    /// Bytes at the front of the source's input that may be written.
    ready: usize,
    /// Whether the ready bytes are a chunk of ours that must be closed.
    in_chunk: bool,
    ended: bool,
    /// Bytes of content seen so far.
    content: u64,
    /// More content than this is refused.
    limit: u64,
    /// Grows with every step; tells the caller that time-outs start anew.
    activity: u64,
    /// Whether any byte of the body was written.
    touched: bool,
    /// No more content than this is read.
    stop: u64,
}

#[derive(Debug)]
enum Framing {
    Exactly(u64),
    Chunked(ChunkReader),
    UntilClose,
}

/// Why a body did not arrive.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The source broke off.
    Source,
    /// The sink takes no more.
    Sink,
    /// The source's framing is invalid.
    Malformed,
    /// More content than allowed.
    TooLarge,
}

impl Moving for Pump {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Wire,
        sink: &mut Wire,
        spare: &Buffers,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            if self.ready == 0 && !self.ended && self.content < self.stop {
                self.frame(source, sink)?;
            }
            if self.ready > 0 || !sink.output.is_empty() {
                let body = source.input.get(..self.ready).unwrap_or_default();
                let written = ready!(sink.poll_send(cx, body)).map_err(|_| PumpError::Sink)?;
                source.consume(written);
                self.ready -= written;
                self.touched |= written > 0;
                self.activity += 1;
            } else if self.ended {
                return sink.poll_settle(cx).map_err(|_| PumpError::Sink);
            } else if self.is_stopped() {
                return Poll::Pending;
            } else {
                // Whether or not all of it has left: there may be room for more.
                if let Poll::Ready(Err(_)) = sink.poll_settle(cx) {
                    return Poll::Ready(Err(PumpError::Sink));
                }
                let room = if self.content > LONG_BODY { LONG_READ_BYTES } else { READ_BYTES };
                let read = ready!(source.poll_fill(cx, room, spare)).map_err(|_| PumpError::Source)?;
                if read == 0 {
                    self.source_ended(sink)?;
                }
                self.activity += 1;
            }
        }
    }

    fn content(&self) -> u64 {
        self.content
    }

    fn stop_at(&mut self, content: u64) {
        self.stop = content;
    }

    fn is_stopped(&self) -> bool {
        self.content >= self.stop && !self.ended && self.ready == 0
    }
}

impl Pump {
    /// A request's body, with at most `limit` bytes of content.
    pub(crate) fn request(body: BodyLength, limit: u64) -> Self {
        let framing = match body {
            BodyLength::None => Framing::Exactly(0),
            BodyLength::Exactly(length) => Framing::Exactly(length),
            BodyLength::Chunked => Framing::Chunked(ChunkReader::new()),
        };
        Self::new(framing, Coding::Same, limit)
    }

    /// A response's body.
    pub(crate) fn response(body: ResponseBody, coding: Coding) -> Self {
        let framing = match body {
            ResponseBody::None => Framing::Exactly(0),
            ResponseBody::Exactly(length) => Framing::Exactly(length),
            ResponseBody::Chunked => Framing::Chunked(ChunkReader::new()),
            ResponseBody::UntilClose => Framing::UntilClose,
        };
        Self::new(framing, coding, u64::MAX)
    }

    /// A response's body as content alone, for whoever frames it anew; trailers are kept.
    pub(super) fn content_of(body: ResponseBody) -> Self {
        let framing = match body {
            ResponseBody::Chunked => Framing::Chunked(ChunkReader::keeping_trailers()),
            ResponseBody::None => Framing::Exactly(0),
            ResponseBody::Exactly(length) => Framing::Exactly(length),
            ResponseBody::UntilClose => Framing::UntilClose,
        };
        Self::new(framing, Coding::Bare, u64::MAX)
    }

    fn new(framing: Framing, coding: Coding, limit: u64) -> Self {
        let (ready, content, activity) = (0, 0, 0);
        let ended = matches!(framing, Framing::Exactly(0));
        Self {
            framing,
            coding,
            ready,
            in_chunk: false,
            ended,
            content,
            limit,
            activity,
            touched: false,
            stop: u64::MAX,
        }
    }

    /// The most content that is allowed, in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Grows whenever bytes were read or written.
    pub(crate) fn activity(&self) -> u64 {
        self.activity
    }

    /// Whether any byte of this body left for the sink.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }

    /// Whether the whole body has been read and written.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.ready == 0
    }

    /// Whether the sink holds this body up, rather than the source.
    pub(crate) fn waits_for_sink(&self, sink: &Wire) -> bool {
        self.ready > 0 || !sink.output.is_empty()
    }

    /// How much of the front of the source's input is content.
    pub(super) fn content_ahead(&mut self, source: &mut Wire, sink: &mut Wire) -> Result<usize, PumpError> {
        if self.ready == 0 && !self.ended {
            self.frame(source, sink)?;
        }
        Ok(self.ready)
    }

    /// Takes content from the front of the source's input.
    pub(super) fn take_content(&mut self, source: &mut Wire, bytes: usize) {
        source.consume(bytes);
        self.ready = self.ready.saturating_sub(bytes);
    }

    /// Whether no further content follows what is ahead.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The trailer section, as far as it was kept.
    pub(super) fn trailers(&self) -> &[u8] {
        match &self.framing {
            Framing::Chunked(reader) => reader.trailers(),
            Framing::Exactly(_) | Framing::UntilClose => &[],
        }
    }

    /// Finds out how much of the source's input belongs to this body.
    fn frame(&mut self, source: &mut Wire, sink: &mut Wire) -> Result<(), PumpError> {
        let available = source.input.len();
        match &mut self.framing {
            Framing::Exactly(left) => {
                self.ready = available.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= self.ready as u64;
                self.content += self.ready as u64;
                self.ended = *left == 0;
            }
            Framing::UntilClose => {
                self.ready = available;
                self.content += available as u64;
            }
            Framing::Chunked(_) => self.frame_chunks(source)?,
        }
        if self.content > self.limit {
            return Err(PumpError::TooLarge);
        }
        if self.coding == Coding::Chunked {
            self.wrap_chunk(sink);
        }
        Ok(())
    }

    /// Chunks pass as they came, once they have been read; or are unwrapped for a client that does not know them.
    fn frame_chunks(&mut self, source: &mut Wire) -> Result<(), PumpError> {
        let Framing::Chunked(reader) = &mut self.framing else { return Ok(()) };
        loop {
            let rest = source.input.get(self.ready..).unwrap_or_default();
            let Step { framing, content } = reader.step(rest).map_err(|_| PumpError::Malformed)?;
            self.content += content as u64;
            self.ended = reader.is_done();
            if self.coding == Coding::Bare {
                source.consume(framing);
                self.ready = content;
                return Ok(());
            }
            self.ready += framing + content;
            if self.ended || framing + content == 0 {
                return Ok(());
            }
        }
    }

    /// Puts the ready bytes into a chunk of ours.
    fn wrap_chunk(&mut self, sink: &mut Wire) {
        if std::mem::take(&mut self.in_chunk) {
            sink.output.writer().extend_from_slice(b"\r\n");
        }
        if self.ready > 0 {
            sink.output.writer().extend_from_slice(format!("{:x}\r\n", self.ready).as_bytes());
            self.in_chunk = true;
        }
    }

    /// The source has closed: the end of the body, or too early.
    pub(super) fn source_ended(&mut self, sink: &mut Wire) -> Result<(), PumpError> {
        if !matches!(self.framing, Framing::UntilClose) {
            return Err(PumpError::Source);
        }
        self.ended = true;
        if self.coding == Coding::Chunked {
            self.wrap_chunk(sink);
            sink.output.writer().extend_from_slice(b"0\r\n\r\n");
        }
        Ok(())
    }
}
