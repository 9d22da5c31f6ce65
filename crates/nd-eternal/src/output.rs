//! What the command writes: to the log, and to whoever reads along.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::log::Log;

/// As much as a pipe takes without waiting where `poll` says that it takes something (pipe(7), `PIPE_BUF`).
const PIECE: usize = 4096;

/// The most that is read after the end of the command: more than a pipe holds.
const DRAIN: usize = 4 << 20;

/// How long a reader that hangs holds up the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One output of the command.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: Option<File>,
    /// Our own output of the same kind, while somebody reads it.
    echo: Option<BorrowedFd<'static>>,
    /// What the reader has not taken yet. While there is any, the command waits: nothing is lost.
    pending: Vec<u8>,
}

impl Output {
    /// An output that is passed on to `echo`.
    pub(crate) fn new(echo: Option<BorrowedFd<'static>>) -> Self {
        Self { pipe: None, echo, pending: Vec::new() }
    }

    /// Reads from this pipe from now on.
    pub(crate) fn attach(&mut self, pipe: OwnedFd) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        self.pipe = Some(pipe.into());
        Ok(())
    }

    /// What has to happen before [`Output::advance`] can do something.
    pub(crate) fn awaits(&self) -> Option<PollFd<'_>> {
        match (&self.echo, &self.pipe) {
            (Some(echo), _) if !self.pending.is_empty() => {
                Some(PollFd::from_borrowed_fd(*echo, PollFlags::OUT))
            }
            (_, Some(pipe)) => Some(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)),
            (_, None) => None,
        }
    }

    /// Moves on what can be moved now. Never waits.
    pub(crate) fn advance(&mut self, buffer: &mut [u8], log: &mut Log) {
        self.flush();
        if self.pending.is_empty() {
            self.read(buffer, log);
            self.flush();
        }
    }

    /// Says something to whoever reads along.
    pub(crate) fn say(&mut self, text: &str) {
        if self.echo.is_some() {
            self.pending.extend_from_slice(text.as_bytes());
            self.flush();
        }
    }

    /// Takes what is left after the end of the command, which may have left others behind that hold the pipe open.
    pub(crate) fn drain(&mut self, buffer: &mut [u8], log: &mut Log) {
        let mut total = 0;
        while total < DRAIN {
            match self.read(buffer, log) {
                0 => break,
                count => total += count,
            }
        }
        self.pipe = None;
        self.finish();
    }

    /// Gives a reader a moment to take what is pending.
    fn finish(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        while let Some(echo) = self.echo
            && !self.pending.is_empty()
        {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::from_borrowed_fd(echo, PollFlags::OUT)], left.as_ref()) {
                Ok(0) => self.pending.clear(),
                _ => self.flush(),
            }
        }
    }

    /// How much was read; 0 when there is nothing now, or never again.
    fn read(&mut self, buffer: &mut [u8], log: &mut Log) -> usize {
        let Some(pipe) = &mut self.pipe else { return 0 };
        match pipe.read(buffer) {
            Ok(count) if count > 0 => {
                let bytes = buffer.get(..count).unwrap_or_default();
                log.output(bytes);
                if self.echo.is_some() {
                    self.pending.extend_from_slice(bytes);
                }
                count
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Ok(_) | Err(_) => {
                self.pipe = None;
                0
            }
        }
    }

    fn flush(&mut self) {
        let Some(echo) = self.echo else { return };
        let now = Timespec::default();
        while !self.pending.is_empty() {
            let mut ready = [PollFd::from_borrowed_fd(echo, PollFlags::OUT)];
            if !matches!(poll(&mut ready, Some(&now)), Ok(count) if count > 0) {
                return;
            }
            let piece = self.pending.get(..self.pending.len().min(PIECE)).unwrap_or_default();
            match rustix::io::write(echo, piece) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return,
                // Nobody reads any more; the log goes on.
                Err(_) => {
                    self.echo = None;
                    self.pending = Vec::new();
                }
            }
        }
    }
}
