//! The log file: what the command writes, as it writes it, and between that what eternal mode does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nd_types::Timestamp;

/// A log of this size is set aside and a new one begun.
const FULL: u64 = 10 << 20;

/// So many that are set aside are kept.
const KEPT: u32 = 2;

/// A log that goes on when it cannot be written: the command must not stop for a full disk.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    /// Whether the last byte ended a line.
    at_begin: bool,
    lost: u64,
}

impl Log {
    /// Opens the log, to write behind what is there.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let (file, size) = open(path)?;
        Ok(Self { path: path.to_owned(), file, size, at_begin: true, lost: 0 })
    }

    /// What the command has written.
    pub(crate) fn output(&mut self, bytes: &[u8]) {
        if self.at_begin && self.size >= FULL {
            self.set_aside();
        }
        self.write(bytes);
    }

    /// A line of eternal mode itself, with its time; the same without, for who reads along.
    pub(crate) fn say(&mut self, text: &str) -> String {
        let line = format!("{:.3} eternal: {text}\n", Timestamp::now());
        if !self.at_begin {
            self.write(b"\n");
        }
        self.write(line.as_bytes());
        line
    }

    /// Opens the file of this name again: logrotate(8) may have moved the one that is open.
    pub(crate) fn reopen(&mut self) {
        if let Ok((file, size)) = open(&self.path) {
            (self.file, self.size, self.at_begin) = (file, size, true);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let lost = match self.lost {
            0 => Ok(()),
            lost => writeln!(self.file, "… {lost} bytes were lost: the log could not be written"),
        };
        match lost.and_then(|()| self.file.write_all(bytes)) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += bytes.len() as u64,
        }
        self.size += bytes.len() as u64;
        self.at_begin = bytes.last().is_none_or(|byte| *byte == b'\n');
    }

    /// A log that cannot be set aside grows on; the next line tries again.
    fn set_aside(&mut self) {
        let old = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT).rev() {
            fs::rename(old(number), old(number + 1)).ok();
        }
        if fs::rename(&self.path, old(1)).is_ok() {
            self.reopen();
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_lines_begin_on_lines_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/daemon.log");
        let mut log = Log::open(&path).unwrap();
        log.output(b"no end");
        let line = log.say("hello");
        log.output(b"next\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("no end\n{line}next\n"));
        assert!(line.ends_with("Z eternal: hello\n"), "{line}");
    }

    #[test]
    fn a_full_log_is_set_aside_and_two_of_them_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let mut log = Log::open(&path).unwrap();
        for round in 0..5u8 {
            log.output(&[b'0' + round, b'\n']);
            log.size = FULL;
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        assert_eq!(read("daemon.log").as_deref(), Some("4\n"));
        assert_eq!(read("daemon.log.1").as_deref(), Some("3\n"));
        assert_eq!(read("daemon.log.2").as_deref(), Some("2\n"));
        assert_eq!(read("daemon.log.3"), None);
    }

    #[test]
    fn a_disk_that_is_full_costs_bytes_that_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let mut log = Log::open(&path).unwrap();
        log.file = File::options().write(true).open("/dev/full").unwrap();
        log.output(b"lost\n");
        log.reopen();
        log.output(b"kept\n");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "… 5 bytes were lost: the log could not be written\nkept\n");
    }
}
