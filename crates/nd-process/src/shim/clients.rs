//! Connections of the daemon.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::protocol::{self, Answer, MAX_LINE, Request};

/// Connections at once; more wait in the listener's queue.
pub(super) const MAX_CLIENTS: usize = 64;

/// A client that leaves this much unread is dropped.
const MAX_UNREAD: usize = 256 << 10;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    input: Vec<u8>,
    unsent: Vec<u8>,
    /// Whether it is told of every change.
    pub(super) watching: bool,
}

impl Client {
    /// Takes the next connection, if it is one of the shim's own user or of root.
    pub(super) fn accept(listener: &UnixListener) -> Option<Self> {
        let (stream, _) = listener.accept().ok()?;
        let peer = socket_peercred(&stream).ok()?;
        if !peer.uid.is_root() && peer.uid != geteuid() {
            return None;
        }
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, input: Vec::new(), unsent: Vec::new(), watching: false })
    }

    /// Whether it has to be told that it can be written to.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The requests that have arrived in full.
    ///
    /// # Errors
    /// When the client is gone or does not keep to the protocol: drop it.
    pub(super) fn requests(&mut self) -> io::Result<Vec<Request>> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.input.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let Some(end) = self.input.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let rest = self.input.split_off(end + 1);
        let lines = std::mem::replace(&mut self.input, rest);
        lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(protocol::from_line).collect()
    }

    /// Sends an answer as far as it goes, and the rest when [`Client::flush`] is called.
    ///
    /// # Errors
    /// When the client is gone or does not read: drop it.
    pub(super) fn send(&mut self, answer: &Answer) -> io::Result<()> {
        self.unsent.extend_from_slice(&protocol::to_line(answer)?);
        self.flush()
    }

    /// Sends what is left.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.unsent.len() > MAX_UNREAD { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
