//! Copies of the state file: what is left when a disk loses some of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::error::StoreError;
use crate::private;

/// How old the regular copy may become before a start makes a new one.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes the regular copy anew if it is missing or older than a day.
///
/// The file was just checked, so a sound copy is never replaced by a damaged one.
pub(crate) fn refresh(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let age = fs::metadata(regular(path)).and_then(|copy| copy.modified()).ok().map(|made| {
        // A copy from the future, after the clock was set back, counts as new.
        SystemTime::now().duration_since(made).unwrap_or_default()
    });
    if age.is_some_and(|age| age < MAX_AGE) { Ok(()) } else { make(connection, path, &regular(path)) }
}

/// Copies the whole state to `target`, which is either the old or the new copy, never something between.
pub(crate) fn make(connection: &Connection, path: &Path, target: &Path) -> Result<(), StoreError> {
    let unfinished = suffixed(target, "new");
    let refused = |source| StoreError::file("make a copy of the state in", target, source);
    if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(refused)?;
    }
    // SQLite takes an empty file for none, and the file keeps its mode.
    private::make_file(&unfinished).map_err(refused)?;
    connection
        .execute("vacuum into ?1", [unfinished.to_string_lossy()])
        .map_err(|error| StoreError::sqlite("copy state file", path, error))?;
    let installed = File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, target))
        .and_then(|()| private::sync_dir_of(target));
    installed.map_err(refused)
}

/// The regular copy: `state.db.copy`.
pub(crate) fn regular(path: &Path) -> PathBuf {
    suffixed(path, "copy")
}

/// The copy made before the file is changed from `version` to a later one: `state.db.v1`.
pub(crate) fn of_version(path: &Path, version: i64) -> PathBuf {
    suffixed(path, &format!("v{version}"))
}

/// The newest copy there is. One of an older version will do: it is migrated again.
pub(crate) fn newest(path: &Path) -> Option<PathBuf> {
    let versions = (1..=crate::schema::version()).map(|version| of_version(path, version));
    let made = |copy: PathBuf| Some((fs::metadata(&copy).ok()?.modified().ok()?, copy));
    versions.chain([regular(path)]).filter_map(made).max().map(|(_, copy)| copy)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
