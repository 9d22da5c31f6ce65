//! Lines on disk, through the port: what is kept, found, followed, compressed, dropped and repaired.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use nd_core::ports::{LogEntry, LogFilter, LogFollow, LogLevel, LogStore, OutputStream};
use nd_logs::{SegmentLog, Settings};
use nd_supervise::{Clock, Mono, TaskSet};
use nd_types::{ByteSize, Timestamp, UnitId};
use tokio::time::timeout;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const SOON: Duration = Duration::from_secs(20);

/// A clock that stands where the test puts it.
#[derive(Clone)]
struct Wall(Arc<Mutex<Timestamp>>);

impl Wall {
    fn at(time: &str) -> Result<Self> {
        Ok(Self(Arc::new(Mutex::new(time.parse()?))))
    }

    fn set(&self, time: &str) -> Result {
        *self.0.lock().map_err(|_| "poisoned")? = time.parse()?;
        Ok(())
    }
}

impl Clock for Wall {
    fn mono(&self) -> Mono {
        Mono::default()
    }

    fn wall(&self) -> Timestamp {
        self.0.lock().map(|time| *time).unwrap_or_default()
    }
}

fn open(dir: &Path) -> Result<SegmentLog> {
    Ok(SegmentLog::open(dir, Settings::default())?)
}

/// Segments of 4 KiB: about 30 lines.
fn small() -> Settings {
    Settings { segment_size: ByteSize(4096), ..Settings::default() }
}

fn entry(unit: &str, second: i64, line: &str) -> Result<LogEntry> {
    let unit: UnitId = unit.parse()?;
    let (app, at) = (unit.app().clone(), Timestamp::from_second(1_700_000_000 + second)?);
    let (stream, level) = (OutputStream::Stdout, LogLevel::Info);
    Ok(LogEntry { seq: 0, at, app, unit, stream, level, line: line.to_owned() })
}

fn entries(unit: &str, seconds: std::ops::RangeInclusive<i64>) -> Result<Vec<LogEntry>> {
    seconds.map(|second| entry(unit, second, &format!("line {second}"))).collect()
}

fn lines(entries: &[LogEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.line.as_str()).collect()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.append(&mut files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn all() -> LogFilter {
    LogFilter::default()
}

const SHOP: &str = "shop-8f3k2a-1";

#[tokio::test]
async fn what_was_appended_is_found_in_order_and_numbered() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    log.append(entries(SHOP, 1..=3)?).await?;
    log.append(entries("blog-aaaaaa-1", 4..=5)?).await?;
    let found = log.query(&all(), 100).await?;
    assert_eq!(lines(&found), ["line 1", "line 2", "line 3", "line 4", "line 5"]);
    assert_eq!(found.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(lines(&log.query(&all(), 2).await?), ["line 4", "line 5"]);
    assert!(log.query(&all(), 0).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_filter_leaves_the_lines_that_pass() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    let mut mixed = entries(SHOP, 1..=4)?;
    for (entry, level) in
        mixed.iter_mut().zip([LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error])
    {
        entry.level = level;
    }
    mixed.push(LogEntry { stream: OutputStream::Stderr, ..entry("shop-8f3k2a-2", 5, "Straße Timeout")? });
    mixed.push(entry("blog-aaaaaa-1", 6, "line 6")?);
    log.append(mixed).await?;

    let count = async |filter: LogFilter| -> Result<usize> { Ok(log.query(&filter, 100).await?.len()) };
    assert_eq!(count(LogFilter { apps: vec!["shop".parse()?], ..all() }).await?, 5);
    assert_eq!(count(LogFilter { apps: vec!["nobody".parse()?], ..all() }).await?, 0);
    assert_eq!(count(LogFilter { unit: Some("shop-8f3k2a-2".parse()?), ..all() }).await?, 1);
    assert_eq!(count(LogFilter { stream: Some(OutputStream::Stderr), ..all() }).await?, 1);
    assert_eq!(count(LogFilter { level: Some(LogLevel::Warn), ..all() }).await?, 2);
    assert_eq!(count(LogFilter { text: Some("timeout".into()), ..all() }).await?, 1);
    let (since, until) = (Timestamp::from_second(1_700_000_002)?, Timestamp::from_second(1_700_000_004)?);
    assert_eq!(count(LogFilter { since: Some(since), until: Some(until), ..all() }).await?, 3);
    Ok(())
}

#[tokio::test]
async fn full_segments_are_compressed_and_searched_as_before() -> Result {
    let dir = tempfile::tempdir()?;
    let log = SegmentLog::open(dir.path(), small())?;
    for second in 1..=500 {
        log.append(entries(SHOP, second..=second)?).await?;
    }
    let files = files(&dir.path().join("shop"))?;
    let sealed = files.iter().filter(|file| file.to_string_lossy().ends_with(".ndjson.zst")).count();
    let open = files.iter().filter(|file| file.to_string_lossy().ends_with(".ndjson")).count();
    assert!(sealed > 5 && open == 1, "{files:?}");

    assert_eq!(lines(&log.query(&all(), 1000).await?).len(), 500);
    assert_eq!(lines(&log.query(&all(), 100).await?).first(), Some(&"line 401"));
    assert_eq!(log.query(&LogFilter { text: Some("line 7".into()), ..all() }, 1000).await?.len(), 11);
    Ok(())
}

#[tokio::test]
async fn lines_numbers_and_positions_survive_a_reopening() -> Result {
    let dir = tempfile::tempdir()?;
    let log = SegmentLog::open(dir.path(), small())?;
    let (early, late): (UnitId, UnitId) = ("shop-8f3k2a-9".parse()?, SHOP.parse()?);
    log.append(entries("shop-8f3k2a-9", 1..=1)?).await?;
    for second in 2..=200 {
        log.append(entries(SHOP, second..=second)?).await?;
    }
    let (first, last) = (log.newest(&early).await?, log.newest(&late).await?);
    assert_eq!(last, Some(Timestamp::from_second(1_700_000_200)?));
    drop(log);

    let log = SegmentLog::open(dir.path(), small())?;
    assert_eq!((log.newest(&early).await?, log.newest(&late).await?), (first, last));
    assert_eq!(log.newest(&"shop-8f3k2a-5".parse()?).await?, None);
    log.append(entries(SHOP, 201..=201)?).await?;
    assert_eq!(log.query(&all(), 1).await?.first().map(|entry| entry.seq), Some(201));
    drop(log);

    // The saved positions are a short cut: without them the segments tell.
    fs::remove_file(dir.path().join("shop/marks.json"))?;
    let log = SegmentLog::open(dir.path(), small())?;
    assert_eq!(log.newest(&early).await?, first);
    Ok(())
}

#[tokio::test]
async fn a_torn_last_line_is_dropped_and_writing_goes_on() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    log.append(entries(SHOP, 1..=2)?).await?;
    drop(log);
    let file = files(dir.path())?.pop().ok_or("no file")?;
    fs::OpenOptions::new().append(true).open(file)?.write_all(b"{\"ts\":\"2026-11-0")?;

    let log = open(dir.path())?;
    log.append(entries(SHOP, 3..=3)?).await?;
    assert_eq!(lines(&log.query(&all(), 10).await?), ["line 1", "line 2", "line 3"]);
    Ok(())
}

#[tokio::test]
async fn a_damaged_line_hides_no_other() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    log.append(entries(SHOP, 1..=3)?).await?;
    let file = files(dir.path())?.pop().ok_or("no file")?;
    let text = fs::read_to_string(&file)?.replace("\"line\":\"line 2\"", "\"line\":\u{0}");
    fs::write(&file, text)?;
    assert_eq!(lines(&log.query(&all(), 10).await?), ["line 1", "line 3"]);
    Ok(())
}

#[tokio::test]
async fn following_shows_the_tail_and_then_every_line_once() -> Result {
    let dir = tempfile::tempdir()?;
    let log = Arc::new(SegmentLog::open(dir.path(), small())?);
    let tasks = TaskSet::new("test");
    let appending = Arc::clone(&log);
    let appended = tasks.spawn_with("append", async move {
        for second in 1..=1000 {
            let batch = entries(SHOP, second..=second).map_err(|error| error.to_string())?;
            appending.append(batch).await.map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    });
    for _ in 0..5 {
        let follow = timeout(SOON, log.follow(&all(), 50)).await??;
        let seen: Vec<u64> = timeout(
            SOON,
            follow
                .map(|next| match next {
                    LogFollow::Entry(entry) => entry.seq,
                    LogFollow::Gap(_) => 0,
                })
                .take_while(|seq| std::future::ready(*seq != 1000))
                .collect(),
        )
        .await?;
        let first = seen.first().copied().unwrap_or(1);
        assert_eq!(seen, (first..1000).collect::<Vec<_>>());
        if appended.is_finished() {
            break;
        }
    }
    appended.await??;
    Ok(())
}

#[tokio::test]
async fn a_follower_that_is_too_slow_learns_how_much_it_missed() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    let follow = log.follow(&LogFilter { apps: vec!["shop".parse()?], ..all() }, 0).await?;
    for batch in 0..10 {
        log.append(entries(SHOP, batch * 1000 + 1..=batch * 1000 + 1000)?).await?;
    }
    log.append(entries("blog-aaaaaa-1", 1..=10)?).await?;
    drop(log);
    let got: Vec<LogFollow> = timeout(SOON, follow.collect()).await?;
    let shown = got.iter().filter(|next| matches!(next, LogFollow::Entry(_))).count() as u64;
    assert_eq!(got.last(), Some(&LogFollow::Gap(10_000 - shown)));
    Ok(())
}

#[tokio::test]
async fn each_day_has_its_directory_and_old_days_go() -> Result {
    let dir = tempfile::tempdir()?;
    let clock = Wall::at("2026-11-03T23:59:59Z")?;
    let settings = Settings { retention: Duration::from_secs(2 * 24 * 60 * 60), ..Settings::default() };
    let log = SegmentLog::open_with_clock(dir.path(), settings, Arc::new(clock.clone()))?;
    log.append(entries(SHOP, 1..=1)?).await?;
    clock.set("2026-11-04T00:00:01Z")?;
    log.append(entries(SHOP, 2..=2)?).await?;
    assert!(dir.path().join("shop/2026-11-03/1.ndjson.zst").exists());
    assert!(dir.path().join("shop/2026-11-04/2.ndjson").exists());
    log.sweep().await?;
    assert_eq!(log.query(&all(), 10).await?.len(), 2);

    clock.set("2026-11-06T00:00:01Z")?;
    log.sweep().await?;
    assert_eq!(lines(&log.query(&all(), 10).await?), ["line 2"]);
    assert!(!dir.path().join("shop/2026-11-03").exists());
    clock.set("2026-11-20T00:00:01Z")?;
    log.sweep().await?;
    assert!(log.query(&all(), 10).await?.is_empty());
    log.append(entries(SHOP, 3..=3)?).await?;
    assert_eq!(log.query(&all(), 10).await?.first().map(|entry| entry.seq), Some(3));
    Ok(())
}

#[tokio::test]
async fn the_oldest_lines_go_when_there_are_too_many() -> Result {
    let dir = tempfile::tempdir()?;
    let settings = Settings { max_app_size: ByteSize(6000), max_total_size: ByteSize(9000), ..small() };
    let log = SegmentLog::open(dir.path(), settings)?;
    for second in 1..=1000 {
        log.append(entries(SHOP, second..=second)?).await?;
    }
    let size = |dir: PathBuf| -> Result<u64> {
        Ok(files(&dir)?.iter().flat_map(fs::metadata).map(|file| file.len()).sum())
    };
    assert!(size(dir.path().join("shop"))? < 12_000);
    let found = log.query(&all(), 1000).await?;
    assert!(found.len() > 20 && found.len() < 900, "{}", found.len());
    assert_eq!(found.last().map(|entry| entry.line.as_str()), Some("line 1000"));

    for second in 1..=1000 {
        log.append(entries("blog-aaaaaa-1", second..=second)?).await?;
    }
    assert!(size(dir.path().to_owned())? < 16_000);
    assert!(!log.query(&LogFilter { apps: vec!["shop".parse()?], ..all() }, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_removed_app_is_forgotten_and_may_come_back() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    log.append(entries(SHOP, 1..=1)?).await?;
    log.remove(&"shop".parse()?).await?;
    log.remove(&"never-was".parse()?).await?;
    assert!(log.query(&all(), 10).await?.is_empty());
    assert!(!dir.path().join("shop").exists());
    assert_eq!(log.newest(&SHOP.parse()?).await?, None);
    log.append(entries(SHOP, 2..=2)?).await?;
    assert_eq!(lines(&log.query(&all(), 10).await?), ["line 2"]);
    Ok(())
}

#[tokio::test]
async fn a_directory_that_is_cleared_by_hand_is_made_again() -> Result {
    let dir = tempfile::tempdir()?;
    let log = SegmentLog::open(dir.path(), small())?;
    log.append(entries(SHOP, 1..=1)?).await?;
    fs::remove_dir_all(dir.path().join("shop"))?;
    for second in 2..=100 {
        log.append(entries(SHOP, second..=second)?).await?;
    }
    assert_eq!(log.query(&all(), 1000).await?.len(), 99);
    fs::remove_dir_all(dir.path().join("shop"))?;
    log.append(entries(SHOP, 101..=300)?).await?;
    assert_eq!(log.query(&all(), 1000).await?.len(), 200);
    Ok(())
}

#[tokio::test]
async fn every_file_of_the_logs_is_private() -> Result {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("logs");
    let log = SegmentLog::open(&root, small())?;
    for second in 1..=100 {
        log.append(entries(SHOP, second..=second)?).await?;
    }
    let mode = |path: &Path| fs::metadata(path).map(|file| file.permissions().mode() & 0o777);
    assert_eq!((mode(&root)?, mode(&root.join("shop"))?), (0o700, 0o700));
    for file in files(&root)? {
        assert_eq!(mode(&file)?, 0o600, "{}", file.display());
    }
    Ok(())
}

#[tokio::test]
async fn a_place_that_cannot_be_written_refuses_and_is_used_again_when_it_can() -> Result {
    let dir = tempfile::tempdir()?;
    let log = open(dir.path())?;
    fs::write(dir.path().join("shop"), "in the way")?;
    let refused = log.append(entries(SHOP, 1..=1)?).await.err().ok_or("a file was taken for a directory")?;
    assert!(refused.context.contains("shop"), "{refused}");
    fs::remove_file(dir.path().join("shop"))?;
    log.append(entries(SHOP, 2..=2)?).await?;
    assert_eq!(log.query(&all(), 10).await?.first().map(|entry| entry.seq), Some(1));
    Ok(())
}

#[tokio::test]
async fn what_was_flushed_is_on_disk_and_an_app_that_was_cleared_is_no_trouble() -> Result {
    let dir = tempfile::tempdir()?;
    let log = SegmentLog::open(dir.path(), small())?;
    log.flush().await?;
    log.append(entries(SHOP, 1..=100)?).await?;
    log.append(entries("blog-aaaaaa-1", 1..=1)?).await?;
    log.flush().await?;
    fs::remove_dir_all(dir.path().join("blog"))?;
    log.flush().await?;
    Ok(())
}

/// A clock that fails once.
struct Flaky(std::sync::atomic::AtomicU32);

impl Clock for Flaky {
    fn mono(&self) -> Mono {
        Mono::default()
    }

    fn wall(&self) -> Timestamp {
        // The first look is the one of taking over.
        assert!(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) != 1, "the clock has stopped");
        Timestamp::UNIX_EPOCH
    }
}

#[tokio::test]
async fn a_panic_of_the_writer_costs_one_append_and_no_line_that_was_kept() -> Result {
    let dir = tempfile::tempdir()?;
    open(dir.path())?.append(entries("shop-8f3k2a-1", 1..=2)?).await?;
    let log = SegmentLog::open_with_clock(dir.path(), Settings::default(), Arc::new(Flaky(0.into())))?;
    assert!(log.append(entries("shop-8f3k2a-1", 3..=3)?).await.is_err());
    timeout(SOON, log.append(entries("shop-8f3k2a-1", 3..=3)?)).await??;
    let kept = log.query(&all(), 10).await?;
    assert_eq!(lines(&kept), ["line 1", "line 2", "line 3"]);
    Ok(())
}
