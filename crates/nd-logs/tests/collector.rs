//! Reading units through a runtime that the test drives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use nd_core::ports::{
    ExecOutcome, HintStream, LogCollector, LogCursor, LogFilter, LogLevel, LogPiece, LogPieces, LogStore,
    OutputStream, PortError, PortErrorKind, PortResult, Prepared, Progress, RegistryAuth, Runtime,
    RuntimeCaps, Scope, Signal, Socket, UnitIo, UnitObserved, UnitSpec, UnitStats,
};
use nd_core::spec::AppSpec;
use nd_logs::{Collector, SegmentLog, Settings};
use nd_types::{ExitStatus, RuntimeKind, Timestamp, UnitId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const SOON: Duration = Duration::from_secs(20);

/// A runtime that only has output, and of that what the test wrote.
#[derive(Clone, Default)]
struct Written {
    units: Arc<Mutex<HashMap<UnitId, Vec<LogPiece>>>>,
    changed: Arc<watch::Sender<u64>>,
    /// How many calls fail, and how many streams end after their first line.
    failures: Arc<Mutex<(u32, u32)>>,
}

impl Written {
    fn write(&self, unit: &UnitId, line: &[u8]) {
        let mut units = self.units.lock();
        let pieces = units.entry(unit.clone()).or_default();
        let at = Timestamp::from_second(1_700_000_000 + pieces.len() as i64).unwrap_or_default();
        pieces.push(LogPiece { at, stream: OutputStream::Stdout, line: line.to_vec() });
        drop(units);
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn create(&self, unit: &UnitId) {
        self.units.lock().entry(unit.clone()).or_default();
    }

    /// Lines from `start` on, then live, until the unit is removed.
    fn live(&self, unit: UnitId, start: usize) -> LogPieces {
        let state = (self.clone(), self.changed.subscribe(), unit, start);
        Box::pin(unfold(state, |(written, mut changed, unit, index)| async move {
            loop {
                let piece = written.units.lock().get(&unit)?.get(index).cloned();
                if let Some(piece) = piece {
                    return Some((Ok(piece), (written, changed, unit, index + 1)));
                }
                changed.changed().await.ok()?;
            }
        }))
    }
}

#[async_trait]
impl UnitIo for Written {
    async fn logs(&self, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces> {
        let mut failures = self.failures.lock();
        if failures.0 > 0 {
            failures.0 -= 1;
            return Err(PortError::new(PortErrorKind::Unavailable, "no engine"));
        }
        let breaks = failures.1 > 0;
        failures.1 = failures.1.saturating_sub(1);
        drop(failures);
        let units = self.units.lock();
        let pieces =
            units.get(unit).ok_or_else(|| PortError::new(PortErrorKind::NotFound, "no such unit"))?;
        let start = match cursor {
            LogCursor::Start => 0,
            LogCursor::After(time) => pieces.partition_point(|piece| piece.at <= time),
            LogCursor::Tail(lines) => pieces.len().saturating_sub(lines),
        };
        drop(units);
        Ok(Box::pin(self.live(unit.clone(), start).take(if breaks { 1 } else { usize::MAX })))
    }

    async fn stats(&self, _: &UnitId) -> PortResult<UnitStats> {
        Ok(UnitStats::default())
    }

    async fn exec(&self, _: &UnitId, _: &[String], _: Duration) -> PortResult<ExecOutcome> {
        Err(unused())
    }

    async fn listening(&self, _: &UnitId) -> PortResult<Vec<Socket>> {
        Ok(Vec::new())
    }

    async fn hints(&self) -> PortResult<HintStream> {
        Err(unused())
    }
}

#[async_trait]
impl Runtime for Written {
    fn caps(&self) -> RuntimeCaps {
        RuntimeCaps { kind: RuntimeKind::Process, own_address: false, has_output: true }
    }

    async fn prepare(&self, _: &AppSpec, _: Option<&RegistryAuth>, _: &Progress) -> PortResult<Prepared> {
        Err(unused())
    }

    async fn create(&self, _: &UnitSpec) -> PortResult<UnitObserved> {
        Err(unused())
    }

    async fn start(&self, _: &UnitId) -> PortResult<UnitObserved> {
        Err(unused())
    }

    async fn signal(&self, _: &UnitId, _: Signal) -> PortResult<()> {
        Err(unused())
    }

    async fn wait(&self, _: &UnitId) -> PortResult<ExitStatus> {
        Err(unused())
    }

    async fn remove(&self, unit: &UnitId) -> PortResult<()> {
        self.units.lock().remove(unit);
        self.changed.send_modify(|changes| *changes += 1);
        Ok(())
    }

    async fn observe(&self, _: &Scope) -> PortResult<Vec<UnitObserved>> {
        Ok(Vec::new())
    }
}

fn unused() -> PortError {
    PortError::new(PortErrorKind::Internal, "not part of this test")
}

struct House {
    runtime: Written,
    log: Arc<SegmentLog>,
    collector: Collector,
    unit: UnitId,
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let runtime = Written::default();
        let log = Arc::new(SegmentLog::open(dir.path(), Settings::default())?);
        let collector = collector(&runtime, &log);
        let unit: UnitId = "shop-8f3k2a-1".parse()?;
        runtime.create(&unit);
        Ok(Self { runtime, log, collector, unit, dir })
    }

    fn follow(&self) {
        self.collector.follow(&self.unit, RuntimeKind::Process);
    }

    /// The kept lines, as soon as there are `count`.
    async fn kept(&self, count: usize) -> Result<Vec<String>> {
        let mut follow = self.log.follow(&LogFilter::default(), usize::MAX).await?;
        for _ in 0..count {
            timeout(SOON, follow.next()).await?;
        }
        let entries = self.log.query(&LogFilter::default(), usize::MAX).await?;
        Ok(entries.into_iter().map(|entry| entry.line).collect())
    }
}

fn collector(runtime: &Written, log: &Arc<SegmentLog>) -> Collector {
    Collector::new([Arc::new(runtime.clone()) as Arc<dyn Runtime>], Arc::clone(log) as Arc<dyn LogStore>)
}

#[tokio::test]
async fn output_is_kept_with_its_level_and_whatever_its_bytes() -> Result {
    let house = House::new()?;
    house.runtime.write(&house.unit, b"early");
    house.follow();
    house.runtime.write(&house.unit, b"ERROR late");
    house.runtime.write(&house.unit, b"\xff\xfe binary");
    assert_eq!(house.kept(3).await?, ["early", "ERROR late", "\u{fffd}\u{fffd} binary"]);
    let errors = LogFilter { level: Some(LogLevel::Error), ..LogFilter::default() };
    assert_eq!(house.log.query(&errors, 10).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn asking_twice_is_asking_once() -> Result {
    let house = House::new()?;
    house.follow();
    house.follow();
    house.runtime.write(&house.unit, b"once");
    house.collector.read_out(&house.unit).await;
    assert_eq!(house.kept(1).await?, ["once"]);
    assert_eq!(house.collector.followed(), 1);
    Ok(())
}

#[tokio::test]
async fn reading_goes_on_where_it_ended_before_a_restart() -> Result {
    let House { runtime, log, collector: before, unit, dir } = House::new()?;
    runtime.write(&unit, b"1");
    before.follow(&unit, RuntimeKind::Process);
    before.read_out(&unit).await;
    before.shutdown().await;
    drop((before, log));

    runtime.write(&unit, b"2");
    let log = Arc::new(SegmentLog::open(dir.path(), Settings::default())?);
    let house = House { collector: collector(&runtime, &log), runtime, log, unit, dir };
    house.follow();
    house.runtime.write(&house.unit, b"3");
    assert_eq!(house.kept(3).await?, ["1", "2", "3"]);
    Ok(())
}

#[tokio::test]
async fn everything_a_unit_wrote_is_kept_when_it_has_been_read_out() -> Result {
    let house = House::new()?;
    for line in 0..5000 {
        house.runtime.write(&house.unit, format!("line {line}").as_bytes());
    }
    house.follow();
    timeout(SOON, house.collector.read_out(&house.unit)).await?;
    assert_eq!(house.log.query(&LogFilter::default(), usize::MAX).await?.len(), 5000);
    Ok(())
}

#[tokio::test]
async fn reading_out_ends_by_itself_when_there_is_nothing_to_read() -> Result {
    let silent = House::new()?;
    silent.follow();
    let away = House::new()?;
    away.runtime.write(&away.unit, b"line");
    *away.runtime.failures.lock() = (u32::MAX, 0);
    away.follow();
    let unknown = "blog-aaaaaa-1".parse()?;
    let all = async {
        silent.collector.read_out(&silent.unit).await;
        away.collector.read_out(&away.unit).await;
        away.collector.read_out(&unknown).await;
    };
    timeout(SOON, all).await?;
    Ok(())
}

#[tokio::test]
async fn trouble_is_waited_out_without_losing_or_doubling_a_line() -> Result {
    let house = House::new()?;
    *house.runtime.failures.lock() = (2, 3);
    for line in 0..8 {
        house.runtime.write(&house.unit, line.to_string().as_bytes());
    }
    house.follow();
    assert_eq!(house.kept(8).await?, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    Ok(())
}

#[tokio::test]
async fn a_forgotten_unit_is_not_read_any_more_and_may_come_back() -> Result {
    let house = House::new()?;
    house.runtime.write(&house.unit, b"1");
    house.follow();
    house.collector.read_out(&house.unit).await;
    house.collector.forget(&house.unit);
    assert_eq!(house.collector.followed(), 0);
    house.runtime.write(&house.unit, b"2");
    house.follow();
    assert_eq!(house.kept(2).await?, ["1", "2"]);
    Ok(())
}
