//! The one thread that writes: what waits together is committed together.

use std::path::PathBuf;

use nd_core::ports::Seq;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::copy;
use crate::error::StoreError;
use crate::open;
use crate::query::{self, Row};

/// How many appends may share one commit.
const GROUP: usize = 128;

/// Where the result of a job goes. Who no longer waits has given up before the job began, and nothing was done.
type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write all rows, or none.
    Append(Vec<Row>, Done<Seq>),
    /// Forget events before a time in microseconds since 1970.
    Compact(i64, Done<()>),
}

/// The connection that writes.
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    /// Whether a commit waits for the disk.
    synced: bool,
}

impl Writer {
    pub(crate) fn new(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path, synced: true }
    }

    /// Works until every sender is gone. May be called again after a panic: what was not committed is rolled back.
    pub(crate) fn run(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut appends = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Append(rows, done) => appends.push((rows, done)),
                    Job::Compact(before, done) => self.compact(before, done),
                }
                next = if appends.len() < GROUP { jobs.try_recv().ok() } else { None };
            }
            self.append(appends);
        }
    }

    /// Commits all in one go; if that fails, each by itself, so that one that cannot be written takes no other along.
    fn append(&mut self, mut appends: Vec<(Vec<Row>, Done<Seq>)>) {
        appends.retain(|(_, done)| !done.is_closed());
        match self.commit(appends.iter().flat_map(|(rows, _)| rows)) {
            Err(_) if appends.len() > 1 => {
                for (rows, done) in appends {
                    let result = self.commit(&rows);
                    self.answer(done, "write state file", result);
                }
            }
            Err(error) => {
                if let Some((_, done)) = appends.pop() {
                    self.answer(done, "write state file", Err(error));
                }
            }
            Ok(seq) => {
                for (_, done) in appends {
                    self.answer(done, "write state file", Ok(seq));
                }
            }
        }
    }

    fn commit<'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a Row, IntoIter: Clone>,
    ) -> rusqlite::Result<Seq> {
        let rows = rows.into_iter();
        self.sync(rows.clone().any(Row::is_state))?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut count = 0;
        for row in rows {
            row.write(&transaction)?;
            count += 1;
        }
        let seq = query::count_written(&transaction, count)?;
        transaction.commit()?;
        Ok(Seq(seq))
    }

    /// What only tells of the past need not wait for the disk: the kernel has it at once, so it outlives this process,
    /// and the next commit of state takes it to the disk.
    fn sync(&mut self, wanted: bool) -> rusqlite::Result<()> {
        if self.synced != wanted {
            let mode = if wanted { open::SYNCED } else { open::UNSYNCED };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.synced = wanted;
        }
        Ok(())
    }

    fn compact(&mut self, before: i64, done: Done<()>) {
        let result = query::forget_events(&self.connection, before);
        if result.is_ok()
            && let Err(error) = copy::refresh(&self.connection, &self.path)
        {
            // The state itself is in order; the copy of yesterday is still there.
            tracing::warn!(%error, "the state file could not be copied");
        }
        self.answer(done, "compact state file", result.map(drop));
    }

    fn answer<T>(&self, done: Done<T>, action: &'static str, result: rusqlite::Result<T>) {
        let result = result.map_err(|error| StoreError::sqlite(action, &self.path, error));
        // Who gave up while the job ran was told that its outcome is not known.
        done.send(result).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn writer(path: &Path) -> Writer {
        Writer::new(crate::open::writer(path).unwrap(), path.to_owned())
    }

    fn put(key: &str, body: &str) -> Row {
        Row::Put { kind: "app", key: key.to_owned(), body: body.to_owned() }
    }

    fn event(id: i64, body: &str) -> Row {
        Row::Event { id, app: None, deployment: None, at: id, body: body.to_owned() }
    }

    fn keys(writer: &Writer) -> Vec<String> {
        query::records(&writer.connection).unwrap().into_iter().map(|(_, key, _)| key).collect()
    }

    #[test]
    fn state_waits_for_the_disk_and_its_history_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir.path().join("state.db"));
        let mut mode_after = |rows: &[Row]| -> i64 {
            writer.commit(rows).unwrap();
            writer.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap()
        };
        let (normal, full) = (1, 2);
        assert_eq!(mode_after(&[event(1, "a")]), normal);
        assert_eq!(mode_after(&[event(2, "b"), put("shop", "1")]), full);
        assert_eq!(mode_after(&[event(3, "c")]), normal);
    }

    #[test]
    fn appends_that_wait_together_share_one_commit() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir.path().join("state.db"));
        let (answers, waiting): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        writer.append(
            answers.into_iter().zip(["a", "b", "c"]).map(|(done, key)| (vec![put(key, "1")], done)).collect(),
        );
        let seqs: Vec<Seq> = waiting.into_iter().map(|mut done| done.try_recv().unwrap().unwrap()).collect();
        assert_eq!(seqs, [Seq(3); 3]);
    }

    #[test]
    fn an_append_that_nobody_waits_for_any_more_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir.path().join("state.db"));
        let (gone, _) = oneshot::channel();
        let (done, _waits) = oneshot::channel();
        writer.append(vec![(vec![put("gone", "1")], gone), (vec![put("here", "1")], done)]);
        assert_eq!(keys(&writer), ["here"]);
    }

    #[test]
    fn a_full_disk_refuses_and_the_store_goes_on_when_there_is_space_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(&dir.path().join("state.db"));
        writer.connection.pragma_update_and_check(None, "max_page_count", 40, |_| Ok(())).unwrap();
        let large = "x".repeat(10_000);
        let full = (1..100).find_map(|id| writer.commit([&event(id, &large)]).err()).unwrap();
        let full = StoreError::sqlite("write state file", &writer.path, full);
        assert!(matches!(full, StoreError::Full { .. }), "{full}");
        assert!(full.fix().unwrap().contains("df -h"));

        let (done, mut small) = oneshot::channel();
        let (refused, mut too_large) = oneshot::channel();
        writer.append(vec![(vec![event(500, &large)], refused), (vec![put("small", "1")], done)]);
        assert!(matches!(too_large.try_recv().unwrap(), Err(StoreError::Full { .. })));
        let small = small.try_recv().unwrap();

        let (done, mut compacted) = oneshot::channel();
        writer.compact(i64::MAX, done);
        compacted.try_recv().unwrap().unwrap();
        writer.commit([&event(501, &large)]).unwrap();
        assert_eq!(keys(&writer).len(), usize::from(small.is_ok()));
    }
}
