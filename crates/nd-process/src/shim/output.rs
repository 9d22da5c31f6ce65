//! One output pipe of the unit.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nd_core::ports::OutputStream;

use super::note;
use crate::spool::{Splitter, SpoolWriter};

/// The most that a pipe can hold (`fs.pipe-max-size` is 1 MiB), with room to spare.
const DRAIN_LIMIT: usize = 4 << 20;

/// The reading end of a pipe, and the line that is not finished yet.
#[derive(Debug)]
pub(super) struct Output {
    pipe: File,
    stream: OutputStream,
    splitter: Splitter,
}

/// Whether more can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes(usize),
    Nothing,
    End,
}

impl Taken {
    pub(super) fn is_end(self) -> bool {
        self == Self::End
    }
}

impl Output {
    pub(super) fn new(pipe: OwnedFd, stream: OutputStream) -> Self {
        if let Err(error) = rustix::io::ioctl_fionbio(&pipe, true) {
            note(&format!("read the output of the unit without waiting: {error}"));
        }
        Self { pipe: pipe.into(), stream, splitter: Splitter::default() }
    }

    /// Takes over one buffer of bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8], spool: &mut SpoolWriter) -> Taken {
        let stream = self.stream;
        match self.pipe.read(buffer) {
            Ok(count) if count > 0 => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.splitter.push(bytes, |line| spool.line(stream, line));
                Taken::Bytes(count)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Taken::Nothing
            }
            // The end, or a pipe that will never give anything again.
            Ok(_) | Err(_) => {
                self.splitter.finish(|line| spool.line(stream, line));
                Taken::End
            }
        }
    }

    /// Takes over everything that is there, and what was held of an unfinished line.
    pub(super) fn drain(&mut self, spool: &mut SpoolWriter) {
        let mut buffer = vec![0; 16 << 10];
        let mut total = 0;
        while total < DRAIN_LIMIT {
            match self.read(&mut buffer, spool) {
                Taken::Bytes(count) => total += count,
                Taken::Nothing | Taken::End => break,
            }
        }
        let stream = self.stream;
        self.splitter.finish(|line| spool.line(stream, line));
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
