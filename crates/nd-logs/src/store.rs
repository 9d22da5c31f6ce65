//! The adapter: hands lines to the writer, reads beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use nd_core::ports::{
    LogEntry, LogFilter, LogFollow, LogStore, LogStream, PortError, PortErrorKind, PortResult,
};
use nd_supervise::{Clock, SystemClock, ThreadHandle};
use nd_types::{AppName, Timestamp, UnitId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::app_log;
use crate::error::LogError;
use crate::follower::Follower;
use crate::query::{self, View};
use crate::settings::Settings;
use crate::writer::{Job, Writer};

/// How many appends may wait for the writer; the next ones wait before it, and their units' runtimes hold the lines.
const QUEUE: usize = 32;

/// How long a disk may take to answer. A healthy one takes milliseconds.
const ANSWER: Duration = Duration::from_secs(30);

/// The lines of all units, in files of lines: `<dir>/<app>/<day>/<number>.ndjson`, compressed as `.ndjson.zst` once they
/// are large.
///
/// What [`append`](LogStore::append) answered is in the hands of the system: it survives the daemon, not a power cut.
/// Dropping the log waits for the writes that were handed over.
#[derive(Debug)]
pub struct SegmentLog {
    dir: Arc<Path>,
    /// None only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<ThreadHandle>,
}

impl SegmentLog {
    /// Opens the logs in `dir`, which is made if it does not exist.
    ///
    /// # Errors
    /// [`LogError::File`] when the directory cannot be made, or no thread started.
    pub fn open(dir: impl Into<PathBuf>, settings: Settings) -> Result<Self, LogError> {
        Self::open_with_clock(dir, settings, Arc::new(SystemClock))
    }

    /// Like [`open`](Self::open), with a clock that says which day it is.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with_clock(
        dir: impl Into<PathBuf>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let dir = dir.into();
        app_log::make_dir(&dir).map_err(|error| LogError::file("make directory", &dir, error))?;
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let place = dir.clone();
        // A panic costs the job that met it: the writer that follows takes over what is on disk and goes on.
        let write = move || Writer::new(place.clone(), settings.clone(), Arc::clone(&clock)).run(&mut queue);
        let thread = nd_supervise::thread_restarting("nd-logs", write)
            .map_err(|error| LogError::file("start the writer of the logs in", &dir, error))?;
        Ok(Self { dir: dir.into(), jobs: Some(jobs), writer: Some(thread) })
    }

    /// Drops what is older than the settings allow, and the oldest segments of what takes more room than they allow.
    /// Wants to be called about once an hour; sizes are watched all the time.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub async fn sweep(&self) -> PortResult<()> {
        Ok(self.ask(Job::Sweep).await?)
    }

    /// Waits until everything that was handed over before is on disk, where it survives a power cut too.
    ///
    /// # Errors
    /// When the disk refuses, or does not answer in time.
    pub async fn flush(&self) -> PortResult<()> {
        Ok(self.ask(Job::Flush).await?)
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Job,
    ) -> Result<T, LogError> {
        let gone = || LogError::WriterGone { dir: self.dir.to_path_buf() };
        let (done, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        let asked = async {
            jobs.send(job(done)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        let slow = || LogError::Slow { dir: self.dir.to_path_buf(), waited: ANSWER };
        timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn view(&self, filter: &LogFilter, follower: Option<Follower>) -> Result<View, LogError> {
        // A unit names its app, so no other app has to be read.
        let apps = match &filter.unit {
            Some(unit) => vec![unit.app().clone()],
            None => filter.apps.clone(),
        };
        self.ask(|done| Job::View(apps, follower, done)).await
    }

    async fn read(&self, view: View, filter: &LogFilter, limit: usize) -> PortResult<Vec<LogEntry>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let filter = filter.clone();
        let read = nd_supervise::blocking("read logs", move || query::newest(&view, &filter, limit, ANSWER));
        match timeout(ANSWER + Duration::from_secs(5), read).await {
            Ok(Ok(found)) => Ok(found?),
            Ok(Err(failure)) => {
                Err(PortError::new(PortErrorKind::Internal, "read logs").with_source(failure))
            }
            Err(_) => Err(LogError::Slow { dir: self.dir.to_path_buf(), waited: ANSWER }.into()),
        }
    }
}

#[async_trait]
impl LogStore for SegmentLog {
    /// Lines of one app that follow each other are kept all or none.
    async fn append(&self, entries: Vec<LogEntry>) -> PortResult<()> {
        Ok(self.ask(|done| Job::Append(entries, done)).await?)
    }

    async fn query(&self, filter: &LogFilter, limit: usize) -> PortResult<Vec<LogEntry>> {
        let view = self.view(filter, None).await?;
        self.read(view, filter, limit).await
    }

    async fn follow(&self, filter: &LogFilter, tail: usize) -> PortResult<LogStream> {
        // The writer makes the view and takes the follower in one step: no line is in both, none in neither.
        let (follower, live) = Follower::new(filter.clone());
        let view = self.view(filter, Some(follower)).await?;
        let tail = self.read(view, filter, tail).await?;
        Ok(Box::pin(stream::iter(tail.into_iter().map(LogFollow::Entry)).chain(live)))
    }

    async fn newest(&self, unit: &UnitId) -> PortResult<Option<Timestamp>> {
        Ok(self.ask(|done| Job::Newest(unit.clone(), done)).await?)
    }

    async fn clear(&self, app: &AppName) -> PortResult<u64> {
        Ok(self.ask(|done| Job::Clear(app.clone(), done)).await?)
    }

    async fn remove(&self, app: &AppName) -> PortResult<()> {
        Ok(self.ask(|done| Job::Remove(app.clone(), done)).await?)
    }
}

impl Drop for SegmentLog {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been logged under its name, and every append since was refused.
            drop(writer.join());
        }
    }
}
