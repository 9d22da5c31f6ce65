//! The connection under the frames: gives once more what was read to find out what is spoken, and lets all that comes
//! in be watched.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::Watch;

/// A connection that is watched. Nothing more is read from it once its allowance is used up.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    stream: S,
    /// Bytes that were read before.
    read: BytesMut,
    watch: Rc<Watch>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, read: BytesMut, watch: Rc<Watch>) -> Self {
        Self { stream, read, watch }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_exhausted() {
            return Poll::Pending; // whoever drives the connection looks at the watch next, and ends it
        }
        let before = buf.filled().len();
        let poll = if self.read.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            let length = self.read.len().min(buf.remaining());
            buf.put_slice(self.read.get(..length).unwrap_or_default());
            self.read.advance(length);
            if self.read.is_empty() {
                self.read = BytesMut::new(); // an idle connection keeps no buffer
            }
            Poll::Ready(Ok(()))
        };
        self.watch.read(buf.filled().get(before..).unwrap_or_default());
        poll
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = poll {
            self.watch.wrote(bytes);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
