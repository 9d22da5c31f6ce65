//! How a unit says that it is ready, where it is waited for (`wait_ready`).
//!
//! Two ways, and it takes whichever it knows: `READY=1` in a datagram to `NOTIFY_SOCKET` (sd_notify(3)), and the message
//! `"ready"` as a line of JSON on the channel that Node.js finds by `NODE_CHANNEL_FD`, as `process.send('ready')` writes it.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};

use nd_types::DaemonId;
use rustix::io::{FdFlags, IoSliceMut, fcntl_setfd};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::geteuid;

use crate::protocol::Launch;

/// A longer line on the channel is no message that matters here.
const LONGEST: usize = 64;

/// Where a unit is heard.
#[derive(Debug)]
pub(super) struct Ears {
    socket: UnixDatagram,
    channel: Option<UnixStream>,
    /// The begin of a line on the channel.
    line: Vec<u8>,
    /// Whose word counts beside root's: anybody may write to a socket of this kind.
    uid: u32,
}

/// What the unit gets; to be dropped once it is executed.
#[derive(Debug)]
pub(super) struct Mouth {
    socket: String,
    channel: UnixStream,
}

/// One way to say it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Socket,
    Channel,
}

impl Ears {
    /// Both ends of both ways, where the unit is waited for.
    ///
    /// # Errors
    /// When the system has no more sockets.
    pub(super) fn open(launch: &Launch) -> io::Result<Option<(Self, Mouth)>> {
        if !launch.wait_ready {
            return Ok(None);
        }
        // Abstract (unix(7)): there is no file that the unit's user had to reach.
        let name = format!("nextdeploy-ready-{}", DaemonId::random().map_err(io::Error::other)?);
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        set_socket_passcred(&socket, true)?;
        let (channel, theirs) = UnixStream::pair()?;
        channel.set_nonblocking(true)?;
        // The only descriptor that the unit inherits; this thread, the only one, executes nothing else meanwhile.
        fcntl_setfd(&theirs, FdFlags::empty())?;
        let uid = launch.identity.as_ref().map_or_else(|| geteuid().as_raw(), |identity| identity.uid);
        let ears = Self { socket, channel: Some(channel), line: Vec::new(), uid };
        Ok(Some((ears, Mouth { socket: format!("@{name}"), channel: theirs })))
    }

    /// What to wait for.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let channel = self.channel.as_ref().map(|channel| (Source::Channel, channel.as_fd()));
        [(Source::Socket, self.socket.as_fd())].into_iter().chain(channel)
    }

    /// Takes what was said; true when it is that the unit is ready. Everything else is read and forgotten, so that nobody who
    /// says more has to wait.
    pub(super) fn hear(&mut self, source: Source) -> bool {
        match source {
            Source::Socket => self.hear_datagram().unwrap_or(false),
            Source::Channel => self.hear_lines(),
        }
    }

    fn hear_datagram(&self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let count = recvmsg(&self.socket, parts, &mut control, RecvFlags::empty())?.bytes;
        let counts = |message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => {
                sender.uid.is_root() || sender.uid.as_raw() == self.uid
            }
            _ => false,
        };
        let is_theirs = control.drain().any(counts);
        let said = bytes.get(..count).unwrap_or_default();
        Ok(is_theirs && said.split(|byte| *byte == b'\n').any(|line| line == b"READY=1"))
    }

    fn hear_lines(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = self.channel.as_mut().map(|channel| channel.read(&mut bytes));
        let said = match read {
            Some(Ok(count)) if count > 0 => bytes.get(..count).unwrap_or_default(),
            Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
            _ => {
                self.channel = None;
                return false;
            }
        };
        let mut ready = false;
        for byte in said {
            if *byte == b'\n' {
                ready |= self.line == b"\"ready\"";
                self.line.clear();
            } else if self.line.len() < LONGEST {
                self.line.push(*byte);
            }
        }
        ready
    }
}

impl Mouth {
    /// By which the unit finds both ways.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let channel = self.channel.as_raw_fd().to_string();
        vec![("NOTIFY_SOCKET", self.socket.clone()), ("NODE_CHANNEL_FD", channel)]
    }
}
