//! The statements that read and write rows.

use nd_core::ports::HistoryQuery;
use nd_core::records::{Record, RecordError};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

/// One row to be written.
#[derive(Debug)]
pub(crate) enum Row {
    /// Replaces the record of that kind and key.
    Put { kind: &'static str, key: String, body: String },
    /// Deletes it.
    Delete { kind: &'static str, key: String },
    /// Adds an event.
    Event { id: i64, app: Option<String>, deployment: Option<String>, at: i64, body: String },
}

impl Row {
    /// Whether it is part of the state, and not only of its history.
    pub(crate) fn is_state(&self) -> bool {
        !matches!(self, Self::Event { .. })
    }

    /// The row of a record.
    pub(crate) fn of(record: &Record) -> Result<Self, RecordError> {
        let stored = record.encode()?;
        Ok(match (record, stored.body) {
            (_, None) => Self::Delete { kind: stored.kind, key: stored.key },
            (Record::Event(event), Some(body)) => Self::Event {
                id: number(event.id),
                app: event.app.as_ref().map(ToString::to_string),
                deployment: event.deployment.as_ref().map(ToString::to_string),
                at: event.at.as_microsecond(),
                body,
            },
            (_, Some(body)) => Self::Put { kind: stored.kind, key: stored.key, body },
        })
    }

    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Put { kind, key, body } => connection
                .prepare_cached(
                    "insert into record (kind, key, body) values (?1, ?2, ?3)
                     on conflict do update set body = excluded.body",
                )?
                .execute(params![kind, key, body]),
            Self::Delete { kind, key } => connection
                .prepare_cached("delete from record where kind = ?1 and key = ?2")?
                .execute(params![kind, key]),
            // An append whose answer was lost may be repeated: the same number is the same event.
            Self::Event { id, app, deployment, at, body } => connection
                .prepare_cached("insert or replace into event (id, app, deployment, at, body) values (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![id, app, deployment, at, body]),
        }
        .map(drop)
    }
}

/// Counts `records` as written and answers the new count.
pub(crate) fn count_written(connection: &Connection, records: u64) -> rusqlite::Result<u64> {
    let count: i64 = connection
        .prepare_cached("update written set records = records + ?1 returning records")?
        .query_row([number(records)], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Every record that is not an event, as kind, key and body.
pub(crate) fn records(connection: &Connection) -> rusqlite::Result<Vec<(String, String, String)>> {
    let mut statement = connection.prepare("select kind, key, body from record")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// The highest event number that was ever given out.
pub(crate) fn last_event(connection: &Connection) -> rusqlite::Result<u64> {
    let last: i64 = connection.query_row(
        "select coalesce(max(seq), 0) from sqlite_sequence where name = 'event'",
        [],
        |row| row.get(0),
    )?;
    Ok(last.unsigned_abs())
}

/// Number and body of the events asked for, newest first.
pub(crate) fn events(connection: &Connection, query: &HistoryQuery) -> rusqlite::Result<Vec<(i64, String)>> {
    let conditions = [
        query.app.as_ref().map(|app| ("app = ?", Value::from(app.to_string()))),
        query.deployment.as_ref().map(|deployment| ("deployment = ?", Value::from(deployment.to_string()))),
        query.before.map(|before| ("id < ?", Value::from(number(before)))),
        query.after.map(|after| ("id > ?", Value::from(number(after)))),
    ];
    let mut sql = "select id, body from event where true".to_owned();
    let mut values = Vec::new();
    for (condition, value) in conditions.into_iter().flatten() {
        sql.push_str(" and ");
        sql.push_str(condition);
        values.push(value);
    }
    sql.push_str(" order by id desc limit ?");
    values.push(Value::from(i64::try_from(query.limit).unwrap_or(i64::MAX)));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Forgets events before a time in microseconds since 1970, and gives the pages back to the file system.
pub(crate) fn forget_events(connection: &Connection, before: i64) -> rusqlite::Result<usize> {
    let forgotten = connection.execute("delete from event where at < ?1", [before])?;
    connection.pragma_query(None, "incremental_vacuum", |_| Ok(()))?;
    // A reader in the middle of a page of history leaves the log for the next time.
    connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    Ok(forgotten)
}

/// SQLite's integers have a sign; our numbers never come near its limit.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
