//! A disk without space: lines are refused clearly, none that was taken is lost, and it goes on by itself.

use std::fs;

use nd_core::ports::{LogEntry, LogFilter, LogLevel, LogStore, OutputStream, PortErrorKind};
use nd_logs::{SegmentLog, Settings};
use nd_types::{ByteSize, Timestamp, UnitId};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Runs the test below in a mount namespace of its own, where everybody may mount.
#[test]
fn a_full_disk_refuses_lines_and_loses_none_that_were_taken() -> Result {
    nd_testkit::on_a_small_disk("on_a_small_disk")
}

/// Not a test by itself.
#[tokio::test]
async fn on_a_small_disk() -> Result {
    let Some(dir) = nd_testkit::small_disk("512k")? else { return Ok(()) };
    fs::write(dir.join("other"), vec![b'x'; 256 << 10])?;
    let settings = Settings { segment_size: ByteSize(64 << 10), ..Settings::default() };

    let log = SegmentLog::open(dir.join("logs"), settings.clone())?;
    let mut taken = 0;
    let refused = loop {
        match log.append(lines(taken, 10)?).await {
            Ok(()) => taken += 10,
            Err(error) => break error,
        }
        assert!(taken < 100_000, "the disk is never full");
    };
    assert_eq!(refused.kind, PortErrorKind::Exhausted, "{refused}");
    assert!(refused.fix.is_some_and(|fix| fix.contains("free some space")));
    assert!(taken > 100, "{taken}");
    assert_eq!(numbers(&log).await?, (0..taken).collect::<Vec<_>>(), "what was taken is read on a full disk");

    fs::remove_file(dir.join("other"))?;
    log.append(lines(taken, 10)?).await?;
    drop(log);
    let log = SegmentLog::open(dir.join("logs"), settings)?;
    assert_eq!(numbers(&log).await?, (0..taken + 10).collect::<Vec<_>>());
    Ok(())
}

/// Lines that hardly compress.
fn lines(first: u64, count: u64) -> Result<Vec<LogEntry>> {
    let unit: UnitId = "shop-8f3k2a-1".parse()?;
    let line = |number: u64| {
        let noise =
            (0..12).map(|word| format!("{:016x}", (number * 31 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let (app, at) = (unit.app().clone(), Timestamp::now());
        let (stream, level, line) =
            (OutputStream::Stdout, LogLevel::Info, format!("{number} {}", noise.collect::<String>()));
        LogEntry { seq: 0, at, app, unit: unit.clone(), stream, level, line }
    };
    Ok((first..first + count).map(line).collect())
}

async fn numbers(log: &SegmentLog) -> Result<Vec<u64>> {
    let found = log.query(&LogFilter::default(), 1_000_000).await?;
    let number = |entry: &LogEntry| entry.line.split(' ').next().unwrap_or_default().parse();
    Ok(found.iter().map(number).collect::<std::result::Result<_, _>>()?)
}
