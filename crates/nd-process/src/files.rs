//! The files of one unit, and how they are written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::protocol::Status;

/// The directory of one unit.
#[derive(Clone, Debug)]
pub(crate) struct UnitDir(PathBuf);

impl UnitDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What the unit is; its existence makes the unit exist.
    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("unit.json")
    }

    /// Held by the unit's shim for as long as it lives.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The segments of the output spool.
    pub(crate) fn output(&self) -> PathBuf {
        self.0.join("out")
    }

    /// What a shim has to say when something goes wrong.
    pub(crate) fn shim_log(&self) -> PathBuf {
        self.0.join("shim.log")
    }

    /// Where the shim listens, unless the path is too long.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("sock")
    }

    fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// The last status that a shim recorded; `None` when the unit was never started.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else: after a power cut, for example.
    pub(crate) fn status(&self) -> io::Result<Option<Status>> {
        read_json(&self.state())
    }

    /// Whether a shim holds the unit.
    pub(crate) fn is_held(&self) -> bool {
        let Ok(lock) = File::open(self.lock()) else { return false };
        flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }

    /// Holds the unit in the place of a shim; `None` when there is one.
    ///
    /// # Errors
    /// When the lock cannot be opened.
    pub(crate) fn try_lock(&self) -> io::Result<Option<File>> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.lock())?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The shim that holds the unit, where its record names it and it has the lock open indeed.
    pub(crate) fn holder(&self) -> Option<nd_proc::Process> {
        let shim = nd_proc::Process::read(self.status().ok()??.shim)?;
        let lock = fs::metadata(self.lock()).ok()?;
        let mut open = fs::read_dir(format!("/proc/{}/fd", shim.pid)).ok()?.flatten();
        let is_lock = |file: fs::Metadata| (file.dev(), file.ino()) == (lock.dev(), lock.ino());
        open.any(|file| fs::metadata(file.path()).is_ok_and(is_lock)).then_some(shim)
    }

    /// Records a status. Not synced: what it is about does not survive a power cut either.
    pub(crate) fn set_status(&self, status: &Status) -> io::Result<()> {
        write_json(&self.state(), status, Durability::Process)
    }
}

/// What a file must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The end of this process, at any moment.
    Process,
    /// A power cut too.
    Machine,
}

/// How many files this process has written.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Replaces the file by `value` as JSON in one step: readers see the old content or the new one. Mode 0600.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T, durability: Durability) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    // Of its own: whoever writes the same file at this moment has another one.
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("new-{}-{number}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&bytes)?;
    if durability == Durability::Machine {
        file.sync_all()?;
    }
    fs::rename(&temporary, path)?;
    if durability == Durability::Machine
        && let Some(dir) = path.parent()
    {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// Reads the file as JSON; `None` when it does not exist.
pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the directory, readable by its owner alone, with all above it.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_many_write_at_once_is_that_of_one_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        let writers: Vec<_> = (0..8)
            .map(|number: u32| {
                let path = path.clone();
                let write = move || {
                    (0..200).for_each(|_| write_json(&path, &number, Durability::Process).unwrap());
                };
                nd_supervise::thread("writer", write).unwrap()
            })
            .collect();
        assert!(writers.into_iter().all(|writer| writer.join() == nd_supervise::TaskEnd::Done));
        assert!(read_json::<u32>(&path).unwrap().is_some_and(|number| number < 8));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left");
    }

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value.json");
        assert_eq!(read_json::<u32>(&path).unwrap(), None);
        write_json(&path, &1, Durability::Process).unwrap();
        write_json(&path, &2, Durability::Machine).unwrap();
        assert_eq!(read_json(&path).unwrap(), Some(2));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "").unwrap();
        assert_eq!(read_json::<u32>(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
