//! The processes below the shim.

use std::collections::HashSet;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nd_proc::{Process, Signal};
use nd_types::ExitStatus;
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::pipe;

/// Signals, as something that `poll` can wait for.
#[derive(Debug)]
pub(super) struct Signals {
    children: UnixStream,
    end: UnixStream,
    rebind: UnixStream,
}

impl Signals {
    /// Takes over SIGCHLD; SIGTERM, SIGINT and SIGHUP as wishes to end; SIGUSR1 as the wish for a new socket. Children get
    /// the defaults back.
    pub(super) fn new() -> io::Result<Self> {
        let (children, write) = UnixStream::pair()?;
        children.set_nonblocking(true)?;
        pipe::register(SIGCHLD, write)?;
        let (end, write) = UnixStream::pair()?;
        end.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            pipe::register(signal, write.try_clone()?)?;
        }
        let (rebind, write) = UnixStream::pair()?;
        rebind.set_nonblocking(true)?;
        pipe::register(SIGUSR1, write)?;
        Ok(Self { children, end, rebind })
    }

    /// Readable when a child may have ended.
    pub(super) fn children(&self) -> BorrowedFd<'_> {
        self.children.as_fd()
    }

    /// Readable when the shim is asked to end.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Readable when the file of the shim's socket is gone, as somebody says.
    pub(super) fn rebind(&self) -> BorrowedFd<'_> {
        self.rebind.as_fd()
    }

    /// Forgets that a new socket was wished for.
    pub(super) fn clear_rebind(&self) {
        clear(&self.rebind);
    }

    /// Forgets about children that may have ended: call it before looking.
    pub(super) fn clear_children(&self) {
        clear(&self.children);
    }

    /// Forgets that the shim was asked to end.
    pub(super) fn clear_end(&self) {
        clear(&self.end);
    }
}

/// What one child came to.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) exit: ExitStatus,
}

/// Takes every child that has ended; the second value says whether any is left.
pub(super) fn reap() -> (Vec<Ended>, bool) {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let pid = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or(0);
                ended.push(Ended { pid, exit: exit_status(status) });
            }
            Ok(None) => return (ended, true),
            Err(Errno::INTR) => {}
            // No child at all; nothing else can fail here.
            Err(_) => return (ended, false),
        }
    }
}

/// More than this is not halted before it is killed: a tree that grows past it has no limit, and time runs.
const HALTED: usize = 50_000;

/// Kills every process below the shim that is there now.
///
/// What forks faster than it is killed is halted first, until a look finds nothing that still runs. One that is forked
/// meanwhile all the same becomes the shim's own child when its parent ends, so killing again after each SIGCHLD, until
/// [`reap`] leaves none, gets them all.
pub(super) fn kill_all() -> io::Result<()> {
    let mut halted = HashSet::new();
    let mut found = below()?;
    // A tree of one or two does not outrun anybody.
    while found.len() > 2 && halted.len() < HALTED {
        let mut new = found.iter().filter(|process| halted.insert((process.pid, process.started))).peekable();
        if new.peek().is_none() {
            break;
        }
        new.try_for_each(|process| nd_proc::send(process, Signal::STOP))?;
        found = below()?;
    }
    found.iter().try_for_each(nd_proc::kill)
}

fn below() -> io::Result<Vec<Process>> {
    let mut found = nd_proc::descendants(std::process::id())?;
    found.retain(|process| !process.zombie);
    Ok(found)
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    }
}

fn clear(mut stream: &UnixStream) {
    let mut bytes = [0; 64];
    while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {}
}
