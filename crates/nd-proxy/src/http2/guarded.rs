//! The connection under the frames: gives once more what was read to find out what is spoken, lets all that comes in be
//! watched, and gathers what goes out.

use std::cell::{RefCell, RefMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::Watch;
use crate::net::buffers::Buffers;

/// So much is gathered at most: what fits into a record of TLS (RFC 8446, section 5.1).
pub(super) const MOST: usize = 16 * 1024;

/// A connection that is watched. Nothing more is read from it once its allowance is used up. Clones are the same one.
///
/// `h2` flushes after each piece of an answer. Its connection gathers them until [`Guarded::poll_send`], so that all
/// answers that are there at one time leave in one record and with one system call.
#[derive(Debug)]
pub(crate) struct Guarded<S>(Rc<RefCell<Line<S>>>);

#[derive(Debug)]
struct Line<S> {
    stream: S,
    /// Bytes that were read before.
    read: BytesMut,
    /// Bytes to be written.
    gathered: BytesMut,
    /// Whether a flush is left to whoever drives the connection.
    gathers: bool,
    watch: Rc<Watch>,
    spare: Rc<Buffers>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, read: BytesMut, watch: Rc<Watch>, spare: Rc<Buffers>) -> Self {
        let gathered = BytesMut::new();
        Self(Rc::new(RefCell::new(Line { stream, read, gathered, gathers: false, watch, spare })))
    }

    fn line(&self) -> RefMut<'_, Line<S>> {
        self.0.borrow_mut()
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Gathers from now on what is written.
    pub(crate) fn gather(&self) {
        self.line().gathers = true;
    }

    /// Sends what was gathered.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line().poll_flush(cx)
    }
}

impl<S> Clone for Guarded<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.line().poll_read(cx, buf)
    }
}

impl<S: AsyncRead + Unpin> Line<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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

impl<S: AsyncWrite + Unpin> Line<S> {
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        let is_large = self.gathered.is_empty() && length > MOST / 2;
        if is_large || self.gathered.len() + length > MOST {
            return self.poll_pass(cx, bufs);
        }
        if self.gathered.capacity() == 0 {
            self.gathered = self.spare.take();
        }
        bufs.iter().for_each(|buf| self.gathered.extend_from_slice(buf));
        Poll::Ready(Ok(length))
    }

    /// Writes without a copy, together with what was gathered before.
    fn poll_pass(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let mut all = [IoSlice::new(&self.gathered), IoSlice::new(&[]), IoSlice::new(&[])];
            all.iter_mut().skip(1).zip(bufs).for_each(|(slot, buf)| *slot = IoSlice::new(buf));
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all))?;
            let passed = written.saturating_sub(self.gathered.len());
            self.wrote(written)?;
            if passed > 0 {
                return Poll::Ready(Ok(passed));
            }
        }
    }

    /// Writes what was gathered.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            self.wrote(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets what has been written of what was gathered.
    fn wrote(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.watch.wrote(written);
        if written < self.gathered.len() {
            self.gathered.advance(written);
        } else if !self.gathered.is_empty() {
            self.spare.give(std::mem::take(&mut self.gathered)); // an idle connection keeps no buffer
        }
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.line().poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line().poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.line().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line();
        if line.gathers { Poll::Ready(Ok(())) } else { line.poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line();
        ready!(line.poll_flush(cx))?;
        Pin::new(&mut line.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Takes so many writes, and keeps what each of them said.
    #[derive(Debug, Default)]
    struct Peer {
        room: usize,
        /// The most bytes of one write.
        at_once: usize,
        got: Vec<Vec<u8>>,
        flushes: usize,
        is_closed: bool,
    }

    impl AsyncWrite for Peer {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            if self.got.len() == self.room {
                return Poll::Pending;
            }
            self.got.push(buf.to_vec());
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            let length = all.len().min(self.at_once);
            self.poll_write(cx, all.get(..length).unwrap_or_default())
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_closed = true;
            Poll::Ready(Ok(()))
        }
    }

    /// A connection that takes `room` writes.
    fn connection(room: usize) -> Guarded<Peer> {
        let peer = Peer { room, at_once: usize::MAX, ..Peer::default() };
        Guarded::new(peer, BytesMut::new(), Rc::new(Watch::new()), Rc::default())
    }

    async fn write(guarded: &mut Guarded<Peer>, piece: &[u8]) {
        let written = poll_fn(|cx| Pin::new(&mut *guarded).poll_write(cx, piece)).await.unwrap();
        assert_eq!(written, piece.len());
        poll_fn(|cx| Pin::new(&mut *guarded).poll_flush(cx)).await.unwrap();
    }

    fn sizes(guarded: &Guarded<Peer>) -> Vec<usize> {
        guarded.line().stream.got.iter().map(Vec::len).collect()
    }

    #[tokio::test]
    async fn pieces_leave_one_by_one_until_they_are_gathered_and_together_from_then_on() {
        let mut guarded = connection(9);
        write(&mut guarded, b"settings").await;
        assert_eq!((sizes(&guarded), guarded.line().stream.flushes), (vec![8], 1));
        guarded.gather();
        for piece in [b"one", b"two"] {
            write(&mut guarded, piece).await;
        }
        assert_eq!((sizes(&guarded), guarded.line().stream.flushes), (vec![8], 1));
        poll_fn(|cx| guarded.poll_send(cx)).await.unwrap();
        assert_eq!(guarded.line().stream.got.last().unwrap(), b"onetwo");
        assert_eq!(guarded.line().gathered.capacity(), 0, "an idle connection keeps no buffer");
        poll_fn(|cx| guarded.poll_send(cx)).await.unwrap();
        assert_eq!(sizes(&guarded), [8, 6], "nothing is left to be sent");
    }

    #[tokio::test]
    async fn no_more_is_gathered_than_fits_into_a_record() {
        let mut guarded = connection(1);
        guarded.gather();
        for length in [MOST / 2, MOST / 2 - 1, 1] {
            write(&mut guarded, &vec![7; length]).await;
        }
        assert_eq!((sizes(&guarded), guarded.line().gathered.len()), (vec![], MOST));
        write(&mut guarded, b"more").await;
        assert_eq!((sizes(&guarded), guarded.line().gathered.len()), (vec![MOST + 4], 0));
        let large = vec![7; MOST];
        let full = poll_fn(|cx| Poll::Ready(Pin::new(&mut guarded).poll_write(cx, &large))).await;
        assert!(full.is_pending(), "whoever writes waits for the peer");
    }

    #[tokio::test]
    async fn a_large_piece_goes_along_with_what_was_gathered_however_little_is_taken_at_once() {
        let mut guarded = connection(usize::MAX);
        guarded.gather();
        write(&mut guarded, b"head").await;
        guarded.line().stream.at_once = 3;
        let large = vec![b'x'; MOST];
        let taken = poll_fn(|cx| Pin::new(&mut guarded).poll_write(cx, &large)).await.unwrap();
        assert_eq!((taken, guarded.line().stream.got.concat()), (2, b"headxx".to_vec()));
        guarded.line().stream.at_once = usize::MAX;
        write(&mut guarded, large.get(taken..).unwrap()).await;
        assert_eq!(sizes(&guarded), [3, 3, MOST - 2], "a large piece is not copied");
    }

    #[tokio::test]
    async fn what_was_gathered_leaves_before_the_end() {
        let mut guarded = connection(9);
        guarded.gather();
        write(&mut guarded, b"goodbye").await;
        poll_fn(|cx| Pin::new(&mut guarded).poll_shutdown(cx)).await.unwrap();
        assert_eq!((sizes(&guarded), guarded.line().stream.is_closed), (vec![7], true));
    }
}
