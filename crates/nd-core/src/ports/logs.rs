//! Where the output of units is kept.

use std::pin::Pin;

use async_trait::async_trait;
use futures_util::Stream;
use nd_types::{AppName, RuntimeKind, Timestamp, UnitId};

use super::error::PortResult;
use super::unit_io::OutputStream;

/// Keeps the lines of every unit; this copy is the truth.
#[async_trait]
pub trait LogStore: Send + Sync + 'static {
    /// Adds lines. Lines of one unit come in the order they were written.
    async fn append(&self, entries: Vec<LogEntry>) -> PortResult<()>;

    /// The last `limit` lines that pass `filter`, oldest first.
    async fn query(&self, filter: &LogFilter, limit: usize) -> PortResult<Vec<LogEntry>>;

    /// The last `tail` lines that pass `filter`, then every further one as it comes, without a gap between.
    async fn follow(&self, filter: &LogFilter, tail: usize) -> PortResult<LogStream>;

    /// The time of the newest line kept for a unit: where a reader goes on after a restart.
    async fn newest(&self, unit: &UnitId) -> PortResult<Option<Timestamp>>;

    /// Drops the lines of an app and answers how many bytes that freed. Its units are read on from where they were.
    async fn clear(&self, app: &AppName) -> PortResult<u64>;

    /// Forgets everything about an app.
    async fn remove(&self, app: &AppName) -> PortResult<()>;
}

/// Brings the output of units into a [`LogStore`].
#[async_trait]
pub trait LogCollector: Send + Sync + 'static {
    /// Reads the unit's output from where it was left off, until [`forget`](Self::forget). Asking twice is asking once.
    fn follow(&self, unit: &UnitId, kind: RuntimeKind);

    /// Waits, within a deadline of its own, until everything a unit that has ended wrote is kept.
    async fn read_out(&self, unit: &UnitId);

    /// Stops reading: the unit is gone.
    fn forget(&self, unit: &UnitId);
}

/// A stream of kept lines.
pub type LogStream = Pin<Box<dyn Stream<Item = LogFollow> + Send>>;

/// What a follower gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFollow {
    /// A line.
    Entry(LogEntry),
    /// The follower was too slow, and this many lines were left out; they can be queried.
    Gap(u64),
}

/// One kept line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number, growing with every line of the daemon; 0 until it is kept.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The app.
    pub app: AppName,
    /// The unit.
    pub unit: UnitId,
    /// Where it was written to.
    pub stream: OutputStream,
    /// How grave it is, as far as the line says so.
    pub level: LogLevel,
    /// The line; bytes that are not UTF-8 are replaced.
    pub line: String,
}

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Details for developers.
    Trace,
    /// Details.
    Debug,
    /// What happens; also every line that says nothing else.
    Info,
    /// Something odd.
    Warn,
    /// Something failed.
    Error,
}

/// Which lines are wanted; an empty filter wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only these apps; empty wants every app.
    pub apps: Vec<AppName>,
    /// Only this unit.
    pub unit: Option<UnitId>,
    /// Only this output.
    pub stream: Option<OutputStream>,
    /// Only lines at least this grave.
    pub level: Option<LogLevel>,
    /// Only lines that hold this text, whatever its case.
    pub text: Option<String>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Only lines up to this time.
    pub until: Option<Timestamp>,
}

impl LogFilter {
    /// Whether a line passes.
    #[must_use]
    pub fn admits(&self, entry: &LogEntry) -> bool {
        (self.apps.is_empty() || self.apps.contains(&entry.app))
            && self.unit.as_ref().is_none_or(|unit| *unit == entry.unit)
            && self.stream.is_none_or(|stream| stream == entry.stream)
            && self.level.is_none_or(|level| entry.level >= level)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
            && self.text.as_ref().is_none_or(|text| contains_ignoring_case(&entry.line, text))
    }
}

fn contains_ignoring_case(line: &str, text: &str) -> bool {
    line.contains(text) || line.to_lowercase().contains(&text.to_lowercase())
}
