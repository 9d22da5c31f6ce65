//! The receiving half of a stream, read as an HTTP/1 body: plain where its length is known, in chunks otherwise.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::RecvStream;
use tokio::io::ReadBuf;

use super::head::put_fields;

/// The content of a stream on its way in.
#[derive(Debug)]
pub(crate) struct Inlet {
    stream: RecvStream,
    /// Framing to be read before anything else.
    text: Text,
    /// A piece of content to be read then.
    content: Bytes,
    coding: Coding,
    ended: bool,
}

/// How content is delimited for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Not at all: its length was declared, and `h2` has checked it (RFC 9113, section 8.1.1); or a tunnel's bytes.
    Plain,
    Chunked,
}

/// Framing that waits to be read.
#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    read: usize,
}

impl Inlet {
    /// `text` is read before the content: a head, or nothing.
    pub(crate) fn new(stream: RecvStream, coding: Coding, text: Vec<u8>) -> Self {
        let ended = false;
        Self { stream, text: Text { bytes: text, read: 0 }, content: Bytes::new(), coding, ended }
    }

    /// Whether everything has been read, trailers included.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.text.is_empty() && self.content.is_empty()
    }

    /// Reads as much as there is and fits. Ready without a byte once everything has been read.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        while buf.remaining() > 0 && !self.is_done() {
            if !self.text.is_empty() {
                self.text.read(buf);
            } else if !self.content.is_empty() {
                self.read_content(buf)?;
            } else {
                match self.poll_next(cx) {
                    Poll::Ready(next) => next?,
                    Poll::Pending if buf.remaining() < before => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What was read makes room for more from the peer: it is never more than a window ahead of its reader.
    fn read_content(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let length = self.content.len().min(buf.remaining());
        buf.put_slice(self.content.get(..length).unwrap_or_default());
        self.content.advance(length);
        self.stream.flow_control().release_capacity(length).map_err(broken)?;
        if self.content.is_empty() && self.coding == Coding::Chunked {
            self.text.write().extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(content) = ready!(self.stream.poll_data(cx)) {
            self.content = content.map_err(broken)?;
            if self.coding == Coding::Chunked && !self.content.is_empty() {
                let size = format!("{:x}\r\n", self.content.len());
                self.text.write().extend_from_slice(size.as_bytes());
            }
            return Poll::Ready(Ok(()));
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(broken)?;
        if self.coding == Coding::Chunked {
            let text = self.text.write();
            text.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                put_fields(text, &trailers);
            }
            text.extend_from_slice(b"\r\n");
        }
        self.ended = true;
        Poll::Ready(Ok(()))
    }
}

impl Text {
    pub(crate) fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    pub(crate) fn write(&mut self) -> &mut Vec<u8> {
        if self.is_empty() {
            self.bytes.clear();
            self.read = 0;
        }
        &mut self.bytes
    }

    pub(crate) fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let length = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..length).unwrap_or_default());
        self.read += length;
    }
}

/// A stream that ended before its time looks like a connection that did.
pub(crate) fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
