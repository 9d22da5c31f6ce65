//! The directory of all units.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nd_types::UnitId;

use crate::error::ProcessError;
use crate::files::{Durability, UnitDir, create_private_dir, read_json, write_json};
use crate::record::UnitRecord;

/// The longest path of a socket: `sun_path` of unix(7) has 108 bytes, and other systems have fewer.
const MAX_SOCKET_PATH: usize = 100;

/// All units of one daemon, each in a directory of its name. Every call blocks on the disk.
#[derive(Debug)]
pub(super) struct Units {
    dir: PathBuf,
    run_dir: PathBuf,
}

impl Units {
    /// The units in `dir`, which is made where it is missing. What an interrupted `create` or `remove` has left goes away.
    pub(super) fn open(dir: PathBuf, run_dir: PathBuf) -> Result<Self, ProcessError> {
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).map_err(|error| ProcessError::file("find", path, error))
        };
        let units = Self { dir: absolute(dir)?, run_dir: absolute(run_dir)? };
        create_private_dir(&units.dir).map_err(|error| ProcessError::file("make", &units.dir, error))?;
        for unit in units.names()? {
            let dir = units.dir(&unit);
            // One that cannot be looked at is left alone.
            if let Ok(false) = dir.record().try_exists() {
                remove_dir(&dir)?;
            }
        }
        Ok(units)
    }

    /// The directory of all of them.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Where the ports in quarantine are kept.
    pub(super) fn ports_file(&self) -> PathBuf {
        self.dir.join("ports.json")
    }

    /// The directory of one unit.
    pub(super) fn dir(&self, unit: &UnitId) -> UnitDir {
        UnitDir::new(self.dir.join(unit.as_str()))
    }

    /// Where the shim of a new unit listens.
    pub(super) fn socket(&self, unit: &UnitId) -> Result<PathBuf, ProcessError> {
        let path = self.dir(unit).socket();
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(path);
        }
        // Any hash will do, since the record says what became of it.
        let mut hash = std::hash::DefaultHasher::new();
        hash.write(path.as_os_str().as_encoded_bytes());
        let short = self.run_dir.join(format!("{:016x}.sock", hash.finish()));
        if short.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(short);
        }
        let error =
            io::Error::new(io::ErrorKind::InvalidFilename, "the path is longer than a socket's may be");
        Err(ProcessError::file("make a socket in", &self.run_dir, error))
    }

    /// The record of one unit.
    pub(super) fn read(&self, unit: &UnitId) -> Result<Option<UnitRecord>, ProcessError> {
        let path = self.dir(unit).record();
        read_json(&path).map_err(|error| ProcessError::file("read", path, error))
    }

    /// Makes a unit exist.
    pub(super) fn write(&self, record: &UnitRecord) -> Result<(), ProcessError> {
        let dir = self.dir(&record.id);
        create_private_dir(dir.path())
            .and_then(|()| create_private_dir(&dir.output()))
            .and_then(|()| write_json(&dir.record(), record, Durability::Machine))
            .map_err(|error| ProcessError::file("write", dir.record(), error))
    }

    /// Makes a unit exist no more; its shim must have ended.
    pub(super) fn remove(&self, record: &UnitRecord) -> Result<(), ProcessError> {
        let dir = self.dir(&record.id);
        // The record first: what is left without one is rubbish.
        gone(fs::remove_file(dir.record()))
            .map_err(|error| ProcessError::file("remove", dir.record(), error))?;
        // Tells readers at once; removing a directory whose files they hold open would not.
        gone(fs::rename(dir.output(), dir.path().join("removed")))
            .map_err(|error| ProcessError::file("remove", dir.output(), error))?;
        gone(fs::remove_file(&record.socket))
            .map_err(|error| ProcessError::file("remove", &record.socket, error))?;
        remove_dir(&dir)
    }

    /// The records of the units that `wanted` picks. A damaged one is reported in the log and left out.
    pub(super) fn list(&self, wanted: impl Fn(&UnitId) -> bool) -> Result<Vec<UnitRecord>, ProcessError> {
        let mut records = Vec::new();
        for unit in self.names()?.iter().filter(|unit| wanted(unit)) {
            match self.read(unit) {
                Ok(record) => records.extend(record),
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%unit, %error, source, "a unit is left out: its record cannot be read");
                }
            }
        }
        Ok(records)
    }

    fn names(&self) -> Result<Vec<UnitId>, ProcessError> {
        let failed = |error| ProcessError::file("list", &self.dir, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            names.extend(
                entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<UnitId>().ok()),
            );
        }
        Ok(names)
    }
}

fn remove_dir(dir: &UnitDir) -> Result<(), ProcessError> {
    gone(fs::remove_dir_all(dir.path())).map_err(|error| ProcessError::file("remove", dir.path(), error))
}

/// What is gone already need not be removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
