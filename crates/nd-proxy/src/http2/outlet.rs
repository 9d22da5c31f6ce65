//! The sending half of a stream, written as an HTTP/1 body: framing is read and dropped, content becomes DATA frames.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::guarded::MOST;
use super::head::trailers;
use super::inlet::broken;
use super::stalls::Stall;
use super::watch::HEADER_BYTES;
use crate::http1::chunked::ChunkReader;

/// The largest DATA frame; one write is at most so large. With its header it fits into a record of TLS.
const MAX_DATA: usize = MOST - HEADER_BYTES;

/// The end of a chunk and of a body without trailers: where it is seen behind content, the two go together.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// The content of a stream on its way out. A stream that is dropped before its end is reset, so that nobody takes what
/// was sent for all there is.
#[derive(Debug)]
pub(crate) struct Outlet {
    stream: SendStream<Bytes>,
    framing: Framing,
    /// Content that was announced by framing already read.
    announced: usize,
    /// A line of framing whose end was not written yet.
    partial: Vec<u8>,
    stall: Stall,
    /// What the peer is told when it is cut.
    cut_with: Reason,
}

/// How the content that is written is delimited.
#[derive(Debug)]
pub(crate) enum Framing {
    Exactly(u64),
    Chunked(ChunkReader),
    /// By the end of the writing side.
    UntilEnd,
    /// All of it has been written.
    Done,
}

impl Outlet {
    pub(crate) fn new(stream: SendStream<Bytes>, framing: Framing, stall: Stall, cut_with: Reason) -> Self {
        Self { stream, framing, announced: 0, partial: Vec::new(), stall, cut_with }
    }

    /// Whether the peer has got, or will get, the end of the stream.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    /// Writes from the front of `input`; returns how many bytes were used, of a full input at least one.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.framing {
            Framing::Done => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Framing::UntilEnd => self.poll_content(cx, input, false),
            Framing::Exactly(left) => {
                let left = *left;
                let length = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let ends = length as u64 == left;
                let sent = ready!(self.poll_content(cx, input.get(..length).unwrap_or_default(), ends))?;
                let left = left - sent as u64;
                self.framing = if left == 0 { Framing::Done } else { Framing::Exactly(left) };
                Poll::Ready(Ok(sent))
            }
            Framing::Chunked(_) => self.poll_chunks(cx, input),
        }
    }

    /// Ends the stream, where its end is all that delimits it.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if matches!(self.framing, Framing::UntilEnd) {
            self.framing = Framing::Done;
            self.stream.send_data(Bytes::new(), true).map_err(broken)?;
        }
        Ok(())
    }

    /// Ready when the peer wants no more of it.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.stream.poll_reset(cx).map(|reason| match reason {
            Ok(reason) => broken(reason.into()),
            Err(error) => broken(error),
        })
    }

    fn poll_chunks(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Poll<io::Result<usize>> {
        let framing = if self.announced == 0 { self.read_framing(input)? } else { 0 };
        if self.announced == 0 {
            return Poll::Ready(Ok(framing));
        }
        let rest = input.get(framing..).unwrap_or_default();
        let (content, behind) = rest.split_at_checked(self.announced).unwrap_or((rest, &[]));
        let is_last = behind == LAST_CHUNK;
        match self.poll_content(cx, content, is_last) {
            Poll::Ready(sent) => {
                let sent = sent?;
                self.announced -= sent;
                if is_last && self.announced == 0 {
                    self.framing = Framing::Done;
                    return Poll::Ready(Ok(input.len()));
                }
                Poll::Ready(Ok(framing + sent))
            }
            Poll::Pending if framing > 0 => Poll::Ready(Ok(framing)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads framing up to the next content; returns how many bytes of the input were framing.
    fn read_framing(&mut self, input: &[u8]) -> io::Result<usize> {
        let Framing::Chunked(reader) = &mut self.framing else { return Ok(0) };
        let held = self.partial.len();
        self.partial.extend_from_slice(if held == 0 { &[] } else { input });
        let text = if held == 0 { input } else { &self.partial };
        let step = reader.step(text).map_err(|_| io::ErrorKind::InvalidData)?;
        self.announced = step.content;
        if reader.is_done() {
            let fields = trailers(reader.trailers()).ok_or(io::ErrorKind::InvalidData)?;
            self.end(fields)?;
        } else if step.content == 0 {
            self.partial = text.get(step.framing..).unwrap_or_default().to_vec();
            return Ok(input.len());
        }
        self.partial.clear();
        Ok(step.framing.saturating_sub(held))
    }

    fn end(&mut self, trailers: http::HeaderMap) -> io::Result<()> {
        self.framing = Framing::Done;
        let end = match trailers.is_empty() {
            true => self.stream.send_data(Bytes::new(), true),
            false => self.stream.send_trailers(trailers),
        };
        end.map_err(broken)
    }

    /// Sends as much content as the peer's windows have room for.
    fn poll_content(&mut self, cx: &mut Context<'_>, content: &[u8], ends: bool) -> Poll<io::Result<usize>> {
        let wanted = content.len().min(MAX_DATA);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.stream.reserve_capacity(wanted);
        while self.stream.capacity() == 0 {
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(capacity)) => drop(capacity.map_err(broken)?),
                Poll::Ready(None) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Poll::Pending => {
                    self.stall.waits();
                    return Poll::Pending;
                }
            }
        }
        self.stall.moves();
        let length = wanted.min(self.stream.capacity());
        let piece = Bytes::copy_from_slice(content.get(..length).unwrap_or_default());
        self.stream.send_data(piece, ends && length == content.len()).map_err(broken)?;
        Poll::Ready(Ok(length))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if !self.is_done() {
            self.stream.send_reset(self.cut_with);
        }
    }
}
