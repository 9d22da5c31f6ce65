//! Opening the state file: make it private, check it, set it up, migrate it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::{copy, private, schema};

/// How long a connection waits for the other one's lock.
const BUSY: Duration = Duration::from_secs(5);

/// The connection that writes, on a file that is sound and of the newest version.
pub(crate) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    private::make_dir(dir).map_err(|error| StoreError::file("make directory", dir, error))?;
    refuse_emptied(path)?;
    private::make_file(path).map_err(|error| StoreError::file("open state file", path, error))?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_up(&connection).map_err(|error| StoreError::sqlite("set up state file", path, error))?;
    check(&connection, path)?;
    schema::migrate(&mut connection, path)?;
    if let Err(error) = copy::refresh(&connection, path) {
        // The state itself is sound and serves; the copy of yesterday, if there is one, is still there.
        tracing::warn!(%error, "the state file could not be copied");
    }
    Ok(connection)
}

/// `PRAGMA synchronous`: each commit waits for the disk, so that what was answered survives a power cut.
pub(crate) const SYNCED: &str = "full";
/// `PRAGMA synchronous`: only checkpoints wait for the disk. A power cut may take the last commits away, and breaks nothing.
pub(crate) const UNSYNCED: &str = "normal";

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::sqlite("open state file", path, error);
    // No mutex: each connection stays with one thread at a time.
    let connection =
        Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Takes effect only while the file is empty, hence before anything else is written.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", SYNCED)?;
    connection.pragma_update_and_check(None, "journal_size_limit", 4 << 20, |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// SQLite takes an empty file for a new one; where a copy says that there was something in it, it was lost.
fn refuse_emptied(path: &Path) -> Result<(), StoreError> {
    let empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
    match copy::newest(path).filter(|_| empty) {
        None => Ok(()),
        copy => Err(StoreError::Damaged { path: path.to_owned(), detail: "it is empty".to_owned(), copy }),
    }
}

fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::sqlite("check state file", path, error);
    let verdict: String =
        connection.query_row("pragma quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), detail: verdict, copy: copy::newest(path) })
}
