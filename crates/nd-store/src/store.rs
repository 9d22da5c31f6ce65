//! The adapter: hands appends to the writer and reads beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{HistoryQuery, PortError, PortErrorKind, PortResult, Seq, Snapshot, StateStore};
use nd_core::records::{Record, StoredEvent};
use nd_supervise::ThreadHandle;
use nd_types::Timestamp;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::error::StoreError;
use crate::open;
use crate::query::{self, Row};
use crate::writer::{Job, Writer};

/// How many appends may wait for the writer; the next ones wait before it.
const QUEUE: usize = 256;

/// How long a disk may take to answer. A healthy one takes milliseconds.
const ANSWER: Duration = Duration::from_secs(30);

/// Intent and history in one SQLite file.
///
/// Dropping it waits for the writes that were handed over, at most as long as the disk needs for one commit.
#[derive(Debug)]
pub struct SqliteStore {
    path: Arc<Path>,
    /// None only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    reader: Arc<Mutex<Connection>>,
    writer: Option<ThreadHandle>,
}

impl SqliteStore {
    /// Opens the state file, or makes a new one: mode 0600, in a directory that is made 0700 if it does not exist.
    ///
    /// Blocks, mostly for the check of the file. Which daemon may open it is settled elsewhere, by a lock.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Newer`] for a file that cannot be used as it is; its
    /// [`fix`](StoreError::fix) says what to type. Anything else is what system or SQLite say.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let mut writer = Writer::new(open::writer(&path)?, path.clone());
        let reader = open::reader(&path)?;
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let thread = nd_supervise::thread_restarting("nd-store", move || writer.run(&mut queue))
            .map_err(|error| StoreError::file("start the writer of", &path, error))?;
        let reader = Arc::new(Mutex::new(reader));
        Ok(Self { path: path.into(), jobs: Some(jobs), reader, writer: Some(thread) })
    }

    /// Hands a job to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::WriterGone { path: self.path.to_path_buf() };
        let (done, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        let asked = async {
            jobs.send(job(done)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        let slow = || StoreError::Slow { path: self.path.to_path_buf(), waited: ANSWER };
        timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(slow()))
    }

    /// Reads beside the writer, off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        let reader = Arc::clone(&self.reader);
        let result = timeout(ANSWER, nd_supervise::blocking("read state", move || read(&reader.lock())));
        match result.await {
            Ok(Ok(result)) => {
                Ok(result.map_err(|error| StoreError::sqlite("read state file", &self.path, error))?)
            }
            Ok(Err(failure)) => {
                Err(PortError::new(PortErrorKind::Internal, "read state file").with_source(failure))
            }
            Err(_) => Err(StoreError::Slow { path: self.path.to_path_buf(), waited: ANSWER }.into()),
        }
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn load(&self) -> PortResult<Snapshot> {
        let (rows, last_event) =
            self.read(|connection| Ok((query::records(connection)?, query::last_event(connection)?))).await?;
        let decoded = rows.iter().map(|(kind, key, body)| Record::decode(kind, key, body));
        Ok(Snapshot { records: decoded.collect::<Result<_, _>>().map_err(StoreError::from)?, last_event })
    }

    async fn append(&self, records: Vec<Record>) -> PortResult<Seq> {
        let rows = records.iter().map(Row::of).collect::<Result<_, _>>().map_err(StoreError::from)?;
        Ok(self.ask(|done| Job::Append(rows, done)).await?)
    }

    async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>> {
        let query = query.clone();
        let rows = self.read(move |connection| query::events(connection, &query)).await?;
        Ok(rows.iter().filter_map(|(id, body)| event(*id, body)).collect())
    }

    async fn compact(&self, before: Timestamp) -> PortResult<()> {
        Ok(self.ask(|done| Job::Compact(before.as_microsecond(), done)).await?)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been logged under its name, and every append since was refused.
            drop(writer.join());
        }
    }
}

/// History is for people: one event that cannot be read must not hide the others.
fn event(id: i64, body: &str) -> Option<StoredEvent> {
    match Record::decode("event", &id.to_string(), body) {
        Ok(Record::Event(event)) => Some(*event),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(id, %error, "an event cannot be read");
            None
        }
    }
}
