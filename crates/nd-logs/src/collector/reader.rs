//! Reading one unit, until it is gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::Fuse;
use futures_util::{FutureExt, StreamExt};
use nd_core::ports::{
    LogCursor, LogEntry, LogPiece, LogPieces, LogStore, PortError, PortErrorKind, PortResult, Runtime,
};
use nd_supervise::{Backoff, jitter};
use nd_types::{Timestamp, UnitId};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::level::detect_level;

/// Pauses after trouble, and after the end of a stream whose unit still exists.
const PAUSES: Backoff =
    Backoff { first: Duration::from_millis(100), factor: 2, cap: Duration::from_secs(10) };

/// How often a unit may be unknown to its runtime before it counts as gone.
const UNKNOWN: u32 = 5;

/// How many lines are handed over at once, if they are there: an append costs about as much as 50 lines.
const BATCH_LINES: usize = 512;

/// How many bytes are handed over at once.
const BATCH_BYTES: usize = 256 << 10;

/// Reads one unit's output into the store.
pub(super) struct Reader {
    unit: UnitId,
    runtime: Arc<dyn Runtime>,
    store: Arc<dyn LogStore>,
    /// The time of the latest line that is kept.
    kept: watch::Sender<Option<Timestamp>>,
    /// The time of the last line that is kept: where to go on.
    last: Option<Timestamp>,
    /// Troubles since the last line.
    troubles: u32,
}

impl Reader {
    pub(super) fn new(
        unit: UnitId,
        runtime: Arc<dyn Runtime>,
        store: Arc<dyn LogStore>,
        kept: watch::Sender<Option<Timestamp>>,
    ) -> Self {
        Self { unit, runtime, store, kept, last: None, troubles: 0 }
    }

    /// Reads until the unit is gone. Cancel safe in the sense that a new reader goes on where this one ended.
    pub(super) async fn run(mut self) {
        self.find_start().await;
        loop {
            match self.read().await {
                Ok(()) => {}
                Err(error) if error.kind == PortErrorKind::NotFound && self.troubles >= UNKNOWN => return,
                Err(error) => self.report("output of a unit cannot be read", &error),
            }
            self.pause().await;
        }
    }

    async fn find_start(&mut self) {
        self.last = loop {
            match self.store.newest(&self.unit).await {
                Ok(newest) => break newest,
                Err(error) => self.report("where reading ended is not known", &error),
            }
            self.pause().await;
        };
        self.kept.send_replace(self.last);
        self.troubles = 0;
    }

    /// Reads one stream to its end.
    async fn read(&mut self) -> PortResult<()> {
        let cursor = self.last.map_or(LogCursor::Start, LogCursor::After);
        let mut pieces = self.runtime.logs(&self.unit, cursor).await?.fuse();
        while let Some(first) = pieces.next().await {
            let (batch, trouble) = batch(first?, &mut pieces);
            self.keep(batch).await;
            if let Some(error) = trouble {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Hands lines to the store until it has taken them: the runtime holds the later ones meanwhile.
    async fn keep(&mut self, pieces: Vec<LogPiece>) {
        let entries: Vec<LogEntry> = pieces.into_iter().map(|piece| self.entry(piece)).collect();
        let Some(last) = entries.last().map(|entry| entry.at) else { return };
        while let Err(error) = self.store.append(entries.clone()).await {
            self.report("output of a unit cannot be kept", &error);
            self.pause().await;
        }
        self.troubles = 0;
        self.last = Some(last);
        self.kept.send_modify(|kept| *kept = (*kept).max(Some(last)));
    }

    fn entry(&self, piece: LogPiece) -> LogEntry {
        let line = match String::from_utf8(piece.line) {
            Ok(line) => line,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        LogEntry {
            seq: 0,
            at: piece.at,
            app: self.unit.app().clone(),
            unit: self.unit.clone(),
            stream: piece.stream,
            level: detect_level(&line),
            line,
        }
    }

    /// Says the first trouble of a row aloud.
    fn report(&self, what: &'static str, error: &PortError) {
        if self.troubles == 0 && error.kind != PortErrorKind::NotFound {
            tracing::warn!(unit = %self.unit, %error, "{what}, trying again");
        } else {
            tracing::debug!(unit = %self.unit, %error, "{what}, trying again");
        }
    }

    async fn pause(&mut self) {
        sleep(PAUSES.delay(self.troubles, jitter())).await;
        self.troubles = self.troubles.saturating_add(1);
    }
}

/// The first line and those that are there already, and what went wrong after them.
fn batch(first: LogPiece, pieces: &mut Fuse<LogPieces>) -> (Vec<LogPiece>, Option<PortError>) {
    let mut bytes = first.line.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
        match pieces.next().now_or_never() {
            Some(Some(Ok(piece))) => {
                bytes += piece.line.len();
                batch.push(piece);
            }
            Some(Some(Err(error))) => return (batch, Some(error)),
            // The end of the stream is seen again by who asks next.
            Some(None) | None => break,
        }
    }
    (batch, None)
}
