//! The units, in memory and in one file each.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nd_core::ports::UnitStatus;
use nd_types::{DaemonId, ExitStatus, Timestamp, UnitId, Upstream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::sync::watch;

use crate::error::ExternalError;

/// One unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub(crate) daemon: DaemonId,
    pub(crate) upstream: Upstream,
    pub(crate) state: State,
}

/// What a unit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Nobody was led there yet.
    Created,
    /// Requests may go there.
    Open { ip: IpAddr, since: Timestamp },
    /// Nobody is led there any more.
    Closed { since: Option<Timestamp>, at: Timestamp },
}

impl State {
    /// The address, while it is open.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Open { ip, .. } => Some(ip),
            Self::Created | Self::Closed { .. } => None,
        }
    }

    /// The same as any unit's status. Nobody is told how a server that is left to itself goes on: that is a success.
    pub(crate) fn status(self) -> UnitStatus {
        match self {
            Self::Created => UnitStatus::Created,
            Self::Open { since, .. } => UnitStatus::Running { since, healthy: None },
            Self::Closed { since, at } => {
                UnitStatus::Exited { exit: ExitStatus::Code(0), started: since, finished: Some(at) }
            }
        }
    }
}

/// All units of a directory.
#[derive(Debug)]
pub(crate) struct Units {
    dir: PathBuf,
    units: Mutex<BTreeMap<UnitId, Unit>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

impl Units {
    /// Reads the units that are there. A file that is damaged is no unit: its app gets a new one.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, ExternalError> {
        let units = read_all(&dir).map_err(|error| file("read the units in", &dir, error))?;
        Ok(Self { dir, units: Mutex::new(units), changes: watch::Sender::new(0) })
    }

    pub(crate) fn get(&self, id: &UnitId) -> Option<Unit> {
        self.units.lock().get(id).cloned()
    }

    /// Those that are wanted, in the order of their ids.
    pub(crate) fn list(&self, wanted: impl Fn(&UnitId, &Unit) -> bool) -> Vec<(UnitId, Unit)> {
        let units = self.units.lock();
        units
            .iter()
            .filter(|(id, unit)| wanted(id, unit))
            .map(|(id, unit)| (id.clone(), unit.clone()))
            .collect()
    }

    /// Changes a unit in one step: what `change` makes of what there is. Nothing is written where that is the same.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub(crate) fn change(
        &self,
        id: &UnitId,
        change: impl FnOnce(Option<Unit>) -> Option<Unit>,
    ) -> Result<Option<Unit>, ExternalError> {
        let mut units = self.units.lock();
        let before = units.get(id).cloned();
        let after = change(before.clone());
        if after == before {
            return Ok(after);
        }
        let path = self.dir.join(id.as_str());
        match &after {
            Some(unit) => {
                write(&self.dir, &path, unit).map_err(|error| file("write", &path, error))?;
                units.insert(id.clone(), unit.clone());
            }
            None => {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(file("remove", &path, error));
                    }
                    _ => units.remove(id),
                };
            }
        }
        self.changes.send_modify(|count| *count += 1);
        Ok(after)
    }

    /// Waits until a unit is as `wanted` says; `None` is one that is gone.
    pub(crate) async fn until<T>(&self, id: &UnitId, wanted: impl Fn(Option<Unit>) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = wanted(self.get(id)) {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn read_all(dir: &Path) -> io::Result<BTreeMap<UnitId, Unit>> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    let mut units = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let unit = fs::read(entry.path()).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match unit {
            Ok(unit) => drop(units.insert(id, unit)),
            Err(error) => tracing::warn!(unit = %id, %error, "the file of a unit is damaged"),
        }
    }
    Ok(units)
}

/// Replaces the file in one step. Not synced: after a power cut an app that has no unit gets a new one.
fn write(dir: &Path, path: &Path, unit: &Unit) -> io::Result<()> {
    let mut new = NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut new, unit)?;
    new.flush()?;
    new.persist(path)?;
    Ok(())
}

fn file(what: &'static str, path: &Path, source: io::Error) -> ExternalError {
    ExternalError::File { what, path: path.to_owned(), source }
}
