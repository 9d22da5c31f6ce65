//! The tables, as steps from each version to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::copy;
use crate::error::StoreError;

/// Marks a SQLite file as ours (`PRAGMA application_id`): `NDst`.
const APPLICATION_ID: i64 = 0x4e44_7374;

/// Step `n` (counted from 0) leads from version `n` to `n + 1`. A step that was released is never edited.
const STEPS: &[&str] = &[
    // Event numbers must never be given out twice, not even after the newest events were forgotten: hence autoincrement.
    "create table record (
         kind text not null,
         key text not null,
         body text not null,
         primary key (kind, key)
     ) strict, without rowid;
     create table event (
         id integer primary key autoincrement,
         app text,
         deployment text,
         at integer not null, -- microseconds since 1970
         body text not null
     ) strict;
     create index event_by_app on event (app, id);
     create index event_by_deployment on event (deployment, id) where deployment is not null;
     create index event_by_time on event (at);
     create table written (records integer not null) strict;
     insert into written values (0);",
];

/// The version this program reads and writes.
pub(crate) fn version() -> i64 {
    count(STEPS)
}

/// Brings the file to the newest version; before each step from a version with content a copy is kept.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_by(STEPS, connection, path)
}

fn migrate_by(steps: &[&str], connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::sqlite("migrate state file", path, error);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found == 0 {
        prepare_new(connection, path)?;
    } else if application_id(connection).map_err(failed)? != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let known = count(steps);
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    for (version, step) in (0..).zip(steps).skip_while(|(version, _)| *version < found) {
        if version > 0 {
            copy::make(connection, path, &copy::of_version(path, version))?;
        }
        take(connection, version + 1, step).map_err(failed)?;
        tracing::info!(file = %path.display(), version = version + 1, "state file migrated");
    }
    Ok(())
}

fn take(connection: &mut Connection, version: i64, step: &str) -> rusqlite::Result<()> {
    let step_transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    step_transaction.execute_batch(step)?;
    step_transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    step_transaction.pragma_update(None, "user_version", version)?;
    step_transaction.commit()
}

/// Refuses a file that holds something else; settings that only an empty file takes are made here.
fn prepare_new(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::sqlite("prepare state file", path, error);
    let tables: i64 =
        connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    Ok(())
}

fn application_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn count(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_version(path: &Path) -> i64 {
        let connection = Connection::open(path).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_copy_of_the_old_version_is_kept_before_each_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate_by(&["create table a (x any) strict"], &mut connection, &path).unwrap();
        connection.execute("insert into a values (7)", []).unwrap();
        assert!(!copy::of_version(&path, 1).exists());

        let steps = ["", "alter table a add y any", "drop table a"];
        migrate_by(&steps, &mut connection, &path).unwrap();
        assert_eq!(user_version(&path), 3);
        assert_eq!(user_version(&copy::of_version(&path, 1)), 1);
        let old = Connection::open(copy::of_version(&path, 2)).unwrap();
        assert_eq!(
            old.query_row("select x, y is null from a", [], |row| Ok((row.get(0)?, row.get(1)?))),
            Ok((7, true))
        );
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut connection = Connection::open(&path).unwrap();
        let steps = [
            "create table a (x any) strict",
            "create table b (x any) strict; insert into nothing values (1)",
        ];
        migrate_by(&steps, &mut connection, &path).unwrap_err();
        assert_eq!(user_version(&path), 1);
        assert!(connection.prepare("select * from b").is_err());
    }

    #[test]
    fn a_file_of_a_later_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate_by(&["create table a (x any) strict", "drop table a"], &mut connection, &path).unwrap();
        let refused = migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found: 2, known: 1, .. }), "{refused}");
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cookies.sqlite");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute_batch("create table cookies (x any) strict").unwrap();
        assert!(matches!(migrate(&mut connection, &path), Err(StoreError::Foreign { .. })));
        connection.pragma_update(None, "user_version", 1).unwrap();
        assert!(matches!(migrate(&mut connection, &path), Err(StoreError::Foreign { .. })));
    }
}
