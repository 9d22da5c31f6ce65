//! Random histories: whatever is appended, sealed, torn and reopened, what is kept is found again, in order and once.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use nd_core::ports::{LogEntry, LogFilter, LogFollow, LogLevel, LogStore, OutputStream};
use nd_logs::{SegmentLog, Settings};
use nd_supervise::{Clock, Mono};
use nd_types::{AppName, ByteSize, Timestamp, UnitId};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::time::timeout;

type Result<T = ()> = std::result::Result<T, TestCaseError>;

const UNITS: [&str; 4] = ["shop-8f3k2a-1", "shop-8f3k2a-2", "shop-9g4m3b-1", "blog-aaaaaa-1"];

const SOON: Duration = Duration::from_secs(20);

/// One thing that happens to a log.
#[derive(Clone, Debug)]
enum Op {
    /// Lines of some units are appended together.
    Append(Vec<(usize, usize)>),
    /// It is tomorrow.
    NextDay,
    /// The daemon ends well and starts again.
    Reopen,
    /// The daemon is killed within a write: something of a line stands at the end.
    TornLine(usize),
    /// The machine loses power: the open segment of an app is shorter than it was.
    Cut(usize, u16),
    /// The daemon is killed between the two steps of sealing a segment: it is there in both forms.
    Unsealed(usize),
    /// The saved positions of an app are lost.
    NoMarks(usize),
    /// Somebody follows from some lines back, and reads on.
    Follow(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let app = 0..2_usize;
    let batch = prop::collection::vec((0..UNITS.len(), 0..400_usize), 1..40);
    prop_oneof![
        8 => batch.prop_map(Op::Append),
        1 => Just(Op::NextDay),
        2 => Just(Op::Reopen),
        1 => app.clone().prop_map(Op::TornLine),
        1 => (app.clone(), any::<u16>()).prop_map(|(app, bytes)| Op::Cut(app, bytes)),
        1 => app.clone().prop_map(Op::Unsealed),
        1 => app.prop_map(Op::NoMarks),
        2 => (0..100_usize).prop_map(Op::Follow),
    ]
}

/// Days after the first.
#[derive(Default)]
struct Days(AtomicI64);

impl Clock for Days {
    fn mono(&self) -> Mono {
        Mono::default()
    }

    fn wall(&self) -> Timestamp {
        let seconds = 1_700_000_000 + self.0.load(Ordering::SeqCst) * 86_400;
        Timestamp::from_second(seconds).unwrap_or_default()
    }
}

/// A log, and what must be in it.
struct History {
    dir: tempfile::TempDir,
    clock: Arc<Days>,
    log: Option<SegmentLog>,
    /// The texts of each app's lines.
    kept: BTreeMap<AppName, Vec<LogEntry>>,
    written: i64,
}

impl History {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().map_err(failed)?;
        let mut history = Self { dir, clock: Arc::default(), log: None, kept: BTreeMap::new(), written: 0 };
        history.open()?;
        Ok(history)
    }

    fn open(&mut self) -> Result {
        let settings = Settings {
            segment_size: ByteSize(4096),
            retention: Duration::from_secs(1000 * 86_400),
            ..Settings::default()
        };
        self.log = None;
        let log = SegmentLog::open_with_clock(self.dir.path(), settings, self.clock.clone() as _);
        self.log = Some(log.map_err(failed)?);
        Ok(())
    }

    fn log(&self) -> Result<&SegmentLog> {
        self.log.as_ref().ok_or_else(|| failed("closed"))
    }

    async fn happens(&mut self, op: Op) -> Result {
        match op {
            Op::Append(batch) => self.append(&batch).await?,
            Op::NextDay => drop(self.clock.0.fetch_add(1, Ordering::SeqCst)),
            Op::Reopen => self.open()?,
            Op::Follow(tail) => self.follow(tail).await?,
            Op::TornLine(app) => {
                if let Some(open) = self.closed(app, ".ndjson")? {
                    let file = OpenOptions::new().append(true).open(open);
                    file.and_then(|mut file| file.write_all(b"{\"ts\":\"2026-1")).map_err(failed)?;
                }
                self.open()?;
            }
            Op::Cut(app, bytes) => {
                if let Some(open) = self.closed(app, ".ndjson")? {
                    self.cut(app, &open, usize::from(bytes))?;
                }
                self.open()?;
            }
            Op::Unsealed(app) => {
                if let Some(sealed) = self.closed(app, ".ndjson.zst")? {
                    let content = fs::File::open(&sealed).and_then(zstd::decode_all).map_err(failed)?;
                    fs::write(sealed.with_extension(""), content).map_err(failed)?;
                }
                self.open()?;
            }
            Op::NoMarks(app) => {
                self.log = None;
                fs::remove_file(self.app_dir(app).join("marks.json")).ok();
                self.open()?;
            }
        }
        self.agrees().await
    }

    async fn append(&mut self, batch: &[(usize, usize)]) -> Result {
        let mut entries = Vec::with_capacity(batch.len());
        for (unit, length) in batch {
            entries.push(self.line(*unit, *length)?);
        }
        self.log()?.append(entries.clone()).await.map_err(failed)?;
        for entry in entries {
            self.kept.entry(entry.app.clone()).or_default().push(entry);
        }
        Ok(())
    }

    fn line(&mut self, unit: usize, length: usize) -> Result<LogEntry> {
        self.written += 1;
        let unit: UnitId = UNITS.get(unit).copied().unwrap_or("shop-8f3k2a-1").parse().map_err(failed)?;
        let at = Timestamp::from_second(1_600_000_000 + self.written).map_err(failed)?;
        let line = format!("{} \"\u{1b}[1m żółw {}", self.written, "x".repeat(length));
        let (app, stream, level) = (unit.app().clone(), OutputStream::Stderr, LogLevel::Warn);
        Ok(LogEntry { seq: 0, at, app, unit, stream, level, line })
    }

    /// Whoever follows gets the last lines and then what comes, none twice and none missing.
    async fn follow(&mut self, tail: usize) -> Result {
        let before: Vec<String> = self.all().into_iter().rev().take(tail).map(|entry| entry.line).collect();
        let mut follow = self.log()?.follow(&LogFilter::default(), tail).await.map_err(failed)?;
        let next = self.line(0, 10)?;
        self.log()?.append(vec![next.clone()]).await.map_err(failed)?;
        let wanted: Vec<String> = before.into_iter().rev().chain([next.line.clone()]).collect();
        self.kept.entry(next.app.clone()).or_default().push(next);
        let mut got = Vec::new();
        while got.len() < wanted.len() {
            match timeout(SOON, follow.next()).await.map_err(failed)? {
                Some(LogFollow::Entry(entry)) => got.push(entry.line),
                other => return Err(failed(format!("{other:?}"))),
            }
        }
        prop_assert_eq!(got, wanted);
        Ok(())
    }

    /// Takes bytes from the end of a file, and from the model the lines that are not whole any more.
    fn cut(&mut self, app: usize, path: &Path, bytes: usize) -> Result {
        let content = fs::read(path).map_err(failed)?;
        let left = content.len() - bytes % (content.len() + 1);
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let lost = lines(&content) - lines(content.get(..left).unwrap_or_default());
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(left as u64))
            .map_err(failed)?;
        let kept = self.kept.entry(name(app)?).or_default();
        kept.truncate(kept.len() - lost);
        Ok(())
    }

    /// Ends the log, and answers the newest file of an app with that ending.
    fn closed(&mut self, app: usize, ending: &str) -> Result<Option<PathBuf>> {
        self.log = None;
        let mut found = Vec::new();
        for day in children(&self.app_dir(app)) {
            found.extend(children(&day).into_iter().filter(|path| path.to_string_lossy().ends_with(ending)));
        }
        let number =
            |path: &PathBuf| -> Option<u64> { path.file_name()?.to_str()?.split('.').next()?.parse().ok() };
        found.sort_by_key(number);
        Ok(found.pop())
    }

    fn app_dir(&self, app: usize) -> PathBuf {
        self.dir.path().join(if app == 0 { "shop" } else { "blog" })
    }

    fn all(&self) -> Vec<LogEntry> {
        let mut all: Vec<LogEntry> = self.kept.values().flatten().cloned().collect();
        all.sort_by_key(|entry| entry.at);
        all
    }

    /// What is kept is what must be kept, by every way of asking.
    async fn agrees(&self) -> Result {
        let log = self.log()?;
        let wanted = self.all();
        let found = log.query(&LogFilter::default(), usize::MAX).await.map_err(failed)?;
        let without_numbers: Vec<LogEntry> =
            found.iter().map(|entry| LogEntry { seq: 0, ..entry.clone() }).collect();
        prop_assert_eq!(&without_numbers, &wanted);
        prop_assert!(found.windows(2).all(|pair| matches!(pair, [a, b] if a.seq < b.seq)), "numbers grow");

        let half = wanted.len() / 2;
        let last = log.query(&LogFilter::default(), half).await.map_err(failed)?;
        prop_assert_eq!(last, found.get(found.len() - half..).unwrap_or_default());
        if let Some(middle) = wanted.get(half) {
            let since = LogFilter { since: Some(middle.at), ..LogFilter::default() };
            let later = log.query(&since, usize::MAX).await.map_err(failed)?;
            prop_assert_eq!(later, found.get(half..).unwrap_or_default());
        }
        for unit in UNITS {
            let unit: UnitId = unit.parse().map_err(failed)?;
            let newest = wanted.iter().rev().find(|entry| entry.unit == unit).map(|entry| entry.at);
            prop_assert_eq!(
                log.newest(&unit).await.map_err(failed)?,
                newest,
                "where reading {} goes on",
                unit
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_found_again_whatever_happens(ops in prop::collection::vec(op(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        runtime.block_on(async {
            let mut history = History::new()?;
            for op in ops {
                history.happens(op).await?;
            }
            Result::Ok(())
        })?;
    }
}

fn name(app: usize) -> Result<AppName> {
    if app == 0 { "shop" } else { "blog" }.parse().map_err(failed)
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}
