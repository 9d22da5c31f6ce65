//! What carries one leg of an exchange.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::accepted::Accepted;
use crate::http2::app::AppStream;
use crate::http2::stream::ClientStream;
use crate::tls::{self, TlsStream};

/// A connection that carries HTTP/1, or what reads and writes like one.
#[derive(Debug)]
pub(crate) enum Stream {
    /// A connection to an app.
    Tcp(TcpStream),
    /// A client's connection behind its handshake.
    Tls(Box<TlsStream>),
    /// A client's connection.
    Accepted(Accepted),
    /// A client's HTTP/2 stream: a connection for one exchange.
    Client(Box<ClientStream>),
    /// An HTTP/2 stream to an app.
    App(Box<AppStream>),
}

impl Stream {
    /// Whether it is one of many in a connection, which outlives it.
    pub(crate) fn is_multiplexed(&self) -> bool {
        matches!(self, Self::Client(_) | Self::App(_))
    }

    /// Whether its task is woken when the peer goes away.
    pub(crate) fn is_watched(&self) -> bool {
        !matches!(self, Self::Accepted(stream) if !stream.is_watched())
    }

    /// Whether the peer has said that it has not begun with what was sent.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::App(stream) if stream.is_refused())
    }

    /// Makes the coming close a reset, so that the peer cannot take what it got for complete.
    pub(crate) fn reset_on_close(&mut self) {
        let done = match self {
            Self::Client(stream) => {
                stream.reset();
                Ok(())
            }
            Self::App(_) => Ok(()), // an app is told that a request was cut in any case
            Self::Tcp(stream) => stream.set_zero_linger(),
            Self::Tls(stream) => tls::handshake::set_zero_linger(stream),
            Self::Accepted(stream) => stream.set_zero_linger(),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "cannot reset a connection whose answer was cut; it closes normally");
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<Accepted> for Stream {
    fn from(stream: Accepted) -> Self {
        Self::Accepted(stream)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Accepted(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::App(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Accepted(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::App(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Accepted(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Client(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::App(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self, Self::App(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_flush(cx),
            Self::Client(stream) => Pin::new(stream).poll_flush(cx),
            Self::App(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Client(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::App(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
