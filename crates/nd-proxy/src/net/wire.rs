//! A connection with the bytes read from it and the head still to be written to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite as _;
use tokio_util::io::poll_read_buf;

use super::buffers::Buffers;
use super::stream::Stream;

/// Room made for one read.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Room made for one read of a body that has proved to be long.
pub(crate) const LONG_READ_BYTES: usize = 64 * 1024;

/// Room made for a head, so that it need not grow line by line.
pub(crate) const TYPICAL_HEAD: usize = 1000;

/// One leg of an exchange.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    /// Bytes that were read and not yet used.
    pub(crate) input: BytesMut,
    /// Heads and framing to be written before anything else.
    pub(crate) output: Outbox,
    /// It ends as if it were torn.
    is_cut: bool,
}

/// Bytes to be written; they stay until cleared, so that an attempt can be repeated.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Bytes to send, not yet sent.
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0 }
    }

    /// Where to append, after forgetting what was sent.
    pub(crate) fn writer(&mut self) -> &mut Vec<u8> {
        if self.is_empty() {
            self.bytes.clear();
            self.sent = 0;
            self.bytes.reserve(TYPICAL_HEAD);
        }
        &mut self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// How many bytes wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.unsent().len()
    }

    /// Forgets all bytes if none of them has been sent; whether that was so.
    pub(crate) fn take_back(&mut self) -> bool {
        let is_unsent = self.is_unsent() && !self.bytes.is_empty();
        if is_unsent {
            self.bytes.clear();
        }
        is_unsent
    }

    /// Whether no byte has been sent.
    pub(crate) fn is_unsent(&self) -> bool {
        self.sent == 0
    }

    /// All bytes, sent or not, to be used again.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }
}

impl Wire {
    pub(crate) fn new(stream: impl Into<Stream>) -> Self {
        Self::with_input(stream, BytesMut::new())
    }

    /// A connection from which some bytes were read already.
    pub(crate) fn with_input(stream: impl Into<Stream>, input: BytesMut) -> Self {
        Self { stream: stream.into(), input, output: Outbox::default(), is_cut: false }
    }

    /// The connection, its input and its output.
    pub(crate) fn into_parts(self) -> (Stream, BytesMut, Outbox) {
        (self.stream, self.input, self.output)
    }

    /// Reads what has arrived, with room for at least half of `room` bytes; `0` is the end of the stream. Cancel safe.
    ///
    /// While it has to wait and nothing is left to be used, the connection has no buffer: thousands may wait.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        spare: &Buffers,
    ) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = spare.take();
        }
        if self.input.capacity() - self.input.len() < room / 2 {
            self.input.reserve(room);
        }
        let poll = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input);
        if poll.is_pending() && self.input.is_empty() {
            spare.give(std::mem::take(&mut self.input));
        }
        poll
    }

    /// Writes the output, then `body`; returns how many bytes of `body` were written, which may be none.
    ///
    /// Ready as soon as anything was written. Must not be called with nothing to write.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, body: &[u8]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let head = self.output.unsent();
        let written = if head.is_empty() {
            ready!(stream.poll_write(cx, body))?
        } else if body.is_empty() {
            ready!(stream.poll_write(cx, head))?
        } else {
            ready!(stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = written.min(head.len());
        self.output.sent += of_head;
        Poll::Ready(Ok(written - of_head))
    }

    /// Writes all of the output, through to the peer.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            ready!(self.poll_send(cx, &[]))?;
        }
        self.poll_settle(cx)
    }

    /// Passes on what was taken and is still on its way to the system: TLS makes records of it first.
    pub(crate) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends the writing side; the peer sees the end of the stream.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Makes the coming close a reset, so that the peer cannot take what it got for complete.
    pub(crate) fn reset_on_close(&mut self) {
        self.is_cut = true;
        self.stream.reset_on_close();
    }

    /// Whether its end is to be said, so that the peer can tell it from a cut (RFC 8446, section 6.1).
    pub(crate) fn owes_goodbye(&self) -> bool {
        !self.is_cut && matches!(self.stream, Stream::Tls(_))
    }

    /// Whether its task is woken when the peer goes away.
    pub(crate) fn is_watched(&self) -> bool {
        self.stream.is_watched()
    }

    /// Whether it is one of many in a connection, which outlives it.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.stream.is_multiplexed()
    }

    /// Whether the peer has said that it has not begun with what was sent.
    pub(crate) fn is_refused(&self) -> bool {
        self.stream.is_refused()
    }

    /// Drops the first bytes of the input.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.input.advance(bytes.min(self.input.len()));
    }
}
