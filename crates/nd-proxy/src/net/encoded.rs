//! The body of an answer on its way to the client, compressed. Whenever the app pauses, all it has sent so far goes out.

use std::task::{Context, Poll, ready};

use crate::compress::Encoder;
use crate::http1::forward::put;
use crate::http1::response::ResponseBody;

use super::body::Moving;
use super::buffers::Buffers;
use super::pump::{Pump, PumpError};
use super::wire::{READ_BYTES, Wire};

/// A body takes so much of the worker's time at once, in bytes of content, before it is another one's turn.
const TURN_BYTES: usize = 64 * 1024;
/// Content is compressed in pieces of this size …
const PIECE_BYTES: usize = 16 * 1024;
/// … as long as no more than this waits to be sent.
const WAITING_BYTES: usize = 32 * 1024;

/// One body, compressed.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Reads the framing of the app.
    source: Pump,
    encoder: Encoder,
    /// In chunks; or until we close, for a client that does not know them.
    in_chunks: bool,
    /// The encoder has something that the client has not got.
    is_behind: bool,
    is_finished: bool,
    sent: u64,
    /// Up to how many bytes it may go.
    stop: u64,
    activity: u64,
}

/// Its content is counted as the client gets it, compressed.
impl Moving for Encoded {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Wire,
        sink: &mut Wire,
        spare: &Buffers,
    ) -> Poll<Result<(), PumpError>> {
        let mut turn = TURN_BYTES;
        loop {
            let available = if self.is_finished { 0 } else { self.source.content_ahead(source, sink)? };
            let has_room = sink.output.waiting() < WAITING_BYTES && !self.is_stopped();
            if available > 0 && has_room && turn > 0 {
                let piece = available.min(PIECE_BYTES).min(turn);
                self.encode(source, piece, sink)?;
                turn -= piece;
            } else if available == 0 && self.source.has_ended() && !self.is_finished && has_room {
                self.finish(sink)?;
            } else if !sink.output.is_empty() {
                ready!(sink.poll_send(cx, &[])).map_err(|_| PumpError::Sink)?;
            } else if self.is_finished {
                return Poll::Ready(Ok(()));
            } else if self.is_stopped() {
                return Poll::Pending;
            } else if available > 0 {
                cx.waker().wake_by_ref(); // the turn is over
                return Poll::Pending;
            } else {
                match source.poll_fill(cx, READ_BYTES, spare) {
                    Poll::Pending if self.is_behind => self.flush(sink)?,
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => self.source.source_ended(sink)?,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(PumpError::Source)),
                }
            }
            self.activity += 1;
        }
    }

    fn content(&self) -> u64 {
        self.sent
    }

    fn stop_at(&mut self, content: u64) {
        self.stop = content;
    }

    fn is_stopped(&self) -> bool {
        self.sent >= self.stop && !self.is_finished
    }
}

impl Encoded {
    pub(crate) fn new(body: ResponseBody, encoder: Encoder, in_chunks: bool) -> Self {
        let source = Pump::content_of(body);
        let (is_behind, is_finished) = (false, false);
        Self { source, encoder, in_chunks, is_behind, is_finished, sent: 0, stop: u64::MAX, activity: 0 }
    }

    /// Grows whenever bytes were read or written.
    pub(crate) fn activity(&self) -> u64 {
        self.activity
    }

    fn encode(&mut self, source: &mut Wire, piece: usize, sink: &mut Wire) -> Result<(), PumpError> {
        let content = source.input.get(..piece).unwrap_or_default();
        self.encoder.write(content).map_err(|_| PumpError::Malformed)?;
        self.source.take_content(source, piece);
        self.is_behind = true;
        self.give_out(sink);
        Ok(())
    }

    fn flush(&mut self, sink: &mut Wire) -> Result<(), PumpError> {
        self.encoder.flush().map_err(|_| PumpError::Malformed)?;
        self.is_behind = false;
        self.give_out(sink);
        Ok(())
    }

    fn finish(&mut self, sink: &mut Wire) -> Result<(), PumpError> {
        let last = self.encoder.finish().map_err(|_| PumpError::Malformed)?;
        self.put_chunk(sink, &last);
        if self.in_chunks {
            let out = sink.output.writer();
            put(out, &["0\r\n"]);
            out.extend_from_slice(self.source.trailers());
            put(out, &["\r\n"]);
        }
        self.is_finished = true;
        Ok(())
    }

    fn give_out(&mut self, sink: &mut Wire) {
        let Some(output) = self.encoder.output() else { return };
        let bytes = std::mem::take(output);
        self.put_chunk(sink, &bytes);
        if let Some(output) = self.encoder.output() {
            *output = bytes; // to be used again
            output.clear();
        }
    }

    fn put_chunk(&mut self, sink: &mut Wire, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.sent += bytes.len() as u64;
        let out = sink.output.writer();
        if self.in_chunks {
            put(out, &[&format!("{:x}\r\n", bytes.len())]);
        }
        out.extend_from_slice(bytes);
        if self.in_chunks {
            put(out, &["\r\n"]);
        }
    }
}
