//! A client's connection, watched only when it has to be waited for.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{self, Shutdown};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Room for the first read: most requests fit, and it has to be cleared before.
const FIRST_READ: usize = 2 * 1024;

/// A client's connection. The system's poller learns of it when it has to be waited for, or is read a second time:
/// telling it, and taking it out again, costs as much as reading a request and answering it, and a request that came
/// with its connection needs neither.
#[derive(Debug)]
pub(crate) struct Accepted {
    socket: Socket,
    /// Whoever sends without end is not read without end: the second time its task takes turns with others.
    has_read: bool,
}

#[derive(Debug)]
enum Socket {
    Fresh(net::TcpStream),
    Watched(TcpStream),
    /// It could not be watched.
    Lost,
}

impl Accepted {
    /// `socket` is a TCP connection that does not block.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket: Socket::Fresh(socket.into()), has_read: false }
    }

    /// Whether the task that waits for it is woken when the client goes away.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.socket, Socket::Watched(_))
    }

    /// Makes the coming close a reset.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Fresh(socket) => Ok(set_socket_linger(socket, Some(Duration::ZERO))?),
            Socket::Watched(stream) => stream.set_zero_linger(),
            Socket::Lost => Ok(()),
        }
    }

    /// Writes what the system takes at once.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.socket {
            Socket::Fresh(socket) => (&*socket).write(bytes),
            Socket::Watched(stream) => stream.try_write(bytes),
            Socket::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Has it watched from now on.
    fn watched(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let Socket::Fresh(_) = self.socket
            && let Socket::Fresh(socket) = std::mem::replace(&mut self.socket, Socket::Lost)
        {
            self.socket = Socket::Watched(TcpStream::from_std(socket)?);
        }
        match &mut self.socket {
            Socket::Watched(stream) => Ok(Pin::new(stream)),
            Socket::Fresh(_) | Socket::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Socket::Fresh(socket) = &mut this.socket
            && !std::mem::replace(&mut this.has_read, true)
        {
            let room = buf.remaining().min(FIRST_READ);
            let read = socket.read(buf.initialize_unfilled_to(room));
            if !would_block(&read) {
                return Poll::Ready(read.map(|read| buf.advance(read)));
            }
        }
        this.watched()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Socket::Fresh(socket) = &mut this.socket {
            let written = socket.write(buf);
            if !would_block(&written) {
                return Poll::Ready(written);
            }
        }
        this.watched()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Socket::Fresh(socket) = &mut this.socket {
            let written = socket.write_vectored(bufs);
            if !would_block(&written) {
                return Poll::Ready(written);
            }
        }
        this.watched()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Fresh(socket) => Poll::Ready(socket.shutdown(Shutdown::Write)),
            Socket::Watched(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Lost => Poll::Ready(Ok(())),
        }
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
