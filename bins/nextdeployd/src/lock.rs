//! One daemon for one data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held as long as the daemon runs; the kernel lets go of it whatever ends the process.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

/// Why the data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another daemon has it.
    #[error("data directory {dir} is in use by another nextdeployd{}; stop that one, or choose another --data-dir", pid_words(*.pid))]
    Held {
        /// The directory.
        dir: String,
        /// The other daemon.
        pid: Option<u32>,
    },
    /// The file cannot be used.
    #[error("lock data directory {dir}: {source}")]
    File {
        /// The directory.
        dir: String,
        /// Why not.
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the directory, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, LockError> {
        let failed = |source: io::Error| LockError::File { dir: dir.display().to_string(), source };
        let path = dir.join("daemon.lock");
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(failed)?;
                return Err(LockError::Held {
                    dir: dir.display().to_string(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn pid_words(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
