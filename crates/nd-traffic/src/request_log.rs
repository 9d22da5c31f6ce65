//! The log of requests: a file for whoever analyses them, the latest ones for whoever asks, and live ones.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{Stream, stream};
use nd_supervise::blocking;
use nd_types::{AccessRecord, AppName};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::combined;
use crate::file::{RotatingFile, tail};

/// A file of this size is put aside.
const FILE: u64 = 64 << 20;
/// Bytes of the latest records that are kept at hand.
const AT_HAND: usize = 2 << 20;
/// Batches that a follower may be behind.
const BEHIND: usize = 32;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The records as they come: JSON lines.
    Json,
    /// The combined format of Apache and nginx.
    Combined,
}

/// What a follower gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// A request.
    Record(Box<AccessRecord>),
    /// It was too slow: requests were left out.
    Gap,
}

/// The log; clones are the same one.
#[derive(Clone, Debug)]
pub struct RequestLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    form: Form,
    file: Mutex<RotatingFile>,
    recent: Mutex<Recent>,
    live: broadcast::Sender<Bytes>,
    is_failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Recent {
    batches: VecDeque<Bytes>,
    bytes: usize,
}

impl RequestLog {
    /// Opens the log in `dir`, which is made where it is missing: `access.log`, and up to four files of 64 MiB that were put
    /// aside, `access.log.1` the newest. In the form of JSON, the latest requests are remembered from there.
    ///
    /// # Errors
    /// When the directory or the file cannot be made or read.
    pub fn open(dir: &Path, form: Form) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let path: PathBuf = dir.join("access.log");
        let mut recent = Recent::default();
        if form == Form::Json {
            recent.add(tail(&path, AT_HAND as u64)?.into());
        }
        let inner = Inner {
            form,
            file: Mutex::new(RotatingFile::open(path, FILE)?),
            recent: Mutex::new(recent),
            live: broadcast::Sender::new(BEHIND),
            is_failing: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes a batch of JSON lines down. Where the disk does not take it, it is shown all the same, and that the file has a
    /// gap is logged.
    pub async fn append(&self, lines: Bytes) {
        self.inner.recent.lock().add(lines.clone());
        self.inner.live.send(lines.clone()).ok(); // nobody follows
        let inner = Arc::clone(&self.inner);
        let written = blocking("write requests down", move || inner.write(&lines)).await;
        let failed = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.inner.is_failing.swap(failed.is_some(), Ordering::Relaxed);
        match failed {
            Some(error) if !was_failing => {
                tracing::error!(%error, "requests cannot be written to the access log; going on without");
            }
            None if was_failing => tracing::info!("requests are written to the access log again"),
            _ => {}
        }
    }

    /// The latest `count` requests of an app, oldest first, as far back as 2 MiB of all requests reach.
    #[must_use]
    pub fn recent(&self, app: &AppName, count: usize) -> Vec<AccessRecord> {
        let batches: Vec<Bytes> = self.inner.recent.lock().batches.iter().rev().cloned().collect();
        let filter = Filter::new(app);
        let newest = batches.iter().flat_map(|batch| batch.rsplit(|byte| *byte == b'\n'));
        let mut found: Vec<AccessRecord> = newest.filter_map(|line| filter.read(line)).take(count).collect();
        found.reverse();
        found
    }

    /// The requests of an app from now on.
    pub fn follow(&self, app: &AppName) -> impl Stream<Item = Followed> + Send + 'static {
        let from = (self.inner.live.subscribe(), Filter::new(app), VecDeque::new());
        stream::unfold(from, |(mut live, filter, mut waiting)| async move {
            loop {
                if let Some(next) = waiting.pop_front() {
                    return Some((next, (live, filter, waiting)));
                }
                match live.recv().await {
                    Ok(batch) => {
                        let records = batch.split(|byte| *byte == b'\n').filter_map(|line| filter.read(line));
                        waiting.extend(records.map(|record| Followed::Record(Box::new(record))));
                    }
                    Err(RecvError::Lagged(_)) => waiting.push_back(Followed::Gap),
                    Err(RecvError::Closed) => return None,
                }
            }
        })
    }
}

impl Inner {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        match self.form {
            Form::Json => self.file.lock().append(lines),
            Form::Combined => {
                let records = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let records = records.filter_map(|line| serde_json::from_slice::<AccessRecord>(line).ok());
                let text: String = records.map(|record| combined::line(&record)).collect();
                self.file.lock().append(text.as_bytes())
            }
        }
    }
}

impl Recent {
    fn add(&mut self, batch: Bytes) {
        self.bytes += batch.len();
        self.batches.push_back(batch);
        while self.bytes > AT_HAND && self.batches.len() > 1 {
            self.bytes -= self.batches.pop_front().map_or(0, |old| old.len());
        }
    }
}

/// Finds the lines of one app.
struct Filter {
    /// A quote within a value is escaped, so that this stands nowhere else.
    needle: String,
}

impl Filter {
    fn new(app: &AppName) -> Self {
        Self { needle: format!(",\"app\":\"{app}\",") }
    }

    fn read(&self, line: &[u8]) -> Option<AccessRecord> {
        memchr::memmem::find(line, self.needle.as_bytes())?;
        serde_json::from_slice(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn line(app: &str, path: &str) -> String {
        format!(
            "{{\"time\":\"2026-11-21T15:04:05.120Z\",\"app\":\"{app}\",\"id\":\"r1\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
             \"protocol\":\"HTTP/1.1\",\"host\":\"a.b\",\"path\":\"{path}\",\"status\":200,\"bytes_in\":0,\"bytes_out\":1,\
             \"total_ms\":1.5,\"end\":\"complete\"}}\n"
        )
    }

    fn paths(records: &[AccessRecord]) -> Vec<&str> {
        records.iter().map(|record| record.path.as_str()).collect()
    }

    #[tokio::test]
    async fn the_latest_requests_of_an_app_are_at_hand_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let log = RequestLog::open(dir.path(), Form::Json).unwrap();
        let shop: AppName = "shop".parse().unwrap();
        log.append(format!("{}{}{}", line("shop", "/1"), line("blog", "/2"), line("shop", "/3")).into())
            .await;
        log.append(line("shop", "/4?,\\\"app\\\":\\\"blog\\\",").into()).await;
        assert_eq!(paths(&log.recent(&shop, 2)), ["/3", "/4?,\"app\":\"blog\","]);
        let again = RequestLog::open(dir.path(), Form::Json).unwrap();
        assert_eq!(again.recent(&shop, 10).len(), 3);
        assert_eq!(paths(&again.recent(&"blog".parse().unwrap(), 10)), ["/2"]);
    }

    #[tokio::test]
    async fn a_follower_gets_what_comes_and_hears_of_what_it_missed() {
        let dir = tempfile::tempdir().unwrap();
        let log = RequestLog::open(dir.path(), Form::Combined).unwrap();
        let mut followed = Box::pin(log.follow(&"shop".parse().unwrap()));
        log.append(format!("{}{}", line("blog", "/1"), line("shop", "/2")).into()).await;
        let next = followed.next().await;
        assert!(matches!(&next, Some(Followed::Record(record)) if record.path == "/2"), "{next:?}");
        for _ in 0..=BEHIND {
            log.append(line("shop", "/3").into()).await;
        }
        assert_eq!(followed.next().await, Some(Followed::Gap));
        let text = std::fs::read_to_string(dir.path().join("access.log")).unwrap();
        assert!(
            text.starts_with("192.0.2.7 - - [21/Nov/2026:15:04:05 +0000] \"GET /1 HTTP/1.1\" 200 1"),
            "{text}"
        );
    }

    #[test]
    fn no_more_is_kept_at_hand_than_there_is_room_for() {
        let mut recent = Recent::default();
        for _ in 0..10 {
            recent.add(vec![b' '; AT_HAND / 4].into());
        }
        assert_eq!((recent.batches.len(), recent.bytes), (4, AT_HAND));
    }
}
