//! The pid file, and beside it the record that tells its number from a later process of the same one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nd_proc::Life;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::EternalError;
use crate::options::Options;
use crate::stats::Status;

/// What one eternal mode is and how it goes: `<pid file>.json`. It stays when eternal mode ends, so that `daemon start`
/// knows what to start again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pid: u32,
    /// In clock ticks since boot.
    started: u64,
    boot: String,
    /// The main process of the command, while it runs.
    pub(crate) child: Option<u32>,
    pub(crate) restarts: u64,
    pub(crate) crashes: u64,
    pub(crate) status: Status,
    pub(crate) options: Options,
}

impl Record {
    /// The record of this process, before anything has happened.
    pub(crate) fn new(options: Options) -> io::Result<Self> {
        let Life { pid, started, boot } = Life::of(std::process::id())?;
        Ok(Self {
            pid,
            started,
            boot,
            child: None,
            restarts: 0,
            crashes: 0,
            status: Status::Running,
            options,
        })
    }

    /// The last record that was written for this pid file. A damaged one counts as none.
    pub(crate) fn read(pid_file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(beside(pid_file)).ok()?).ok()
    }

    /// The process it is about.
    pub(crate) fn life(&self) -> Life {
        Life { pid: self.pid, started: self.started, boot: self.boot.clone() }
    }

    /// Whether the last word on it was not that it has ended.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.status, Status::Stopped | Status::Failed)
    }

    fn write(&self) -> io::Result<()> {
        let path = beside(&self.options.pid_file);
        let temporary = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
        fs::rename(temporary, path)
    }
}

/// The number in a pid file.
pub(crate) fn pid_in(pid_file: &Path) -> Option<u32> {
    fs::read_to_string(pid_file).ok()?.trim().parse().ok()
}

/// The right to be the one that uses this pid file, for as long as it is not dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    pid_file: PathBuf,
    /// Locked (flock(2)): of two that start at once, one loses.
    _lock: File,
    written: Record,
}

impl Claim {
    /// Takes the pid file over, unless whoever wrote it lives; and says what was in it: a number without a process,
    /// or with another one, is stale.
    pub(crate) fn take(options: &Options) -> Result<(Self, Option<String>), EternalError> {
        let path = &options.pid_file;
        let failed = || EternalError::system(format!("write {}", path.display()));
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(failed())?;
        }
        let mut file = lock(path).map_err(failed())?.ok_or_else(|| running(path, None))?;
        // Its own file may have been removed under a living one.
        if let Some(life) = Record::read(path).map(|record| record.life()).filter(|life| life.now().is_some())
        {
            return Err(running(path, Some(life.pid)));
        }
        let mut before = String::new();
        // Not text: of no other use than to be replaced.
        file.read_to_string(&mut before).unwrap_or_default();
        let record = Record::new(options.clone()).map_err(failed())?;
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", record.pid));
        written.and_then(|()| record.write()).map_err(failed())?;
        let stale = (!before.trim().is_empty()).then(|| why_stale(before.trim()));
        Ok((Self { pid_file: path.clone(), _lock: file, written: record }, stale))
    }

    /// Brings the record up to date.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut record = self.written.clone();
        change(&mut record);
        if record != self.written {
            record.write()?;
            self.written = record;
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: whoever opens it now will see that it is gone.
        fs::remove_file(&self.pid_file).ok();
    }
}

/// Says whose number it is now.
pub(crate) fn why_stale(number: &str) -> String {
    let process = number.parse().ok().and_then(nd_proc::Process::read).filter(|process| !process.zombie);
    match process.and_then(|process| fs::read_to_string(format!("/proc/{}/comm", process.pid)).ok()) {
        Some(name) => format!("process {number} is another one: {}", name.trim()),
        None => format!("process {number} is gone"),
    }
}

/// `None` when another process has it locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        // The one before may have removed it between the two calls.
        if fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() == now.ino())) {
            return Ok(Some(file));
        }
    }
}

fn running(pid_file: &Path, pid: Option<u32>) -> EternalError {
    let pid = pid.or_else(|| pid_in(pid_file)).unwrap_or_default();
    EternalError::Running { pid, pid_file: pid_file.to_owned() }
}

fn beside(pid_file: &Path) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(dir: &tempfile::TempDir) -> Options {
        Options::new(vec!["app".to_owned()], dir.path().to_owned())
    }

    #[test]
    fn a_pid_file_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(&dir);
        let (claim, stale) = Claim::take(&options).unwrap();
        assert_eq!((pid_in(&options.pid_file), stale), (Some(std::process::id()), None));
        let error = Claim::take(&options).unwrap_err();
        assert!(matches!(error, EternalError::Running { pid, .. } if pid == std::process::id()), "{error}");
        fs::remove_file(&options.pid_file).unwrap();
        assert!(Claim::take(&options).is_err(), "removing the file does not make a second one right");
        drop(claim);
    }

    #[test]
    fn the_number_of_a_living_other_process_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(&dir);
        let mut record = Record::new(options.clone()).unwrap();
        // It had this number once, before another process got it.
        record.started -= 1;
        record.write().unwrap();
        fs::write(&options.pid_file, format!("{}\n", record.pid)).unwrap();
        let (_claim, stale) = Claim::take(&options).unwrap();
        assert!(stale.unwrap().contains("is another one"));
    }

    #[test]
    fn the_end_leaves_the_record_and_no_pid_file() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(&dir);
        let (mut claim, _) = Claim::take(&options).unwrap();
        claim.update(|record| record.status = Status::Stopped).unwrap();
        drop(claim);
        assert!(!options.pid_file.exists());
        let record = Record::read(&options.pid_file).unwrap();
        assert_eq!((record.is_open(), &record.options), (false, &options));
    }

    #[test]
    fn whatever_else_a_pid_file_holds_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"nonsense", b"\xff\xfe", b"999999999999", b"-1"] {
            fs::write(options(&dir).pid_file, content).unwrap();
            let (_claim, _) = Claim::take(&options(&dir)).unwrap();
            assert_eq!(pid_in(&options(&dir).pid_file), Some(std::process::id()));
            fs::remove_file(dir.path().join("daemon.pid.json")).unwrap();
        }
    }
}
