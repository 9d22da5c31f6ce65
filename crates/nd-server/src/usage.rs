//! What apps use of the machine, read when somebody asks.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use nd_api::v1::{CpuView, InstanceView, MemoryView};
use nd_core::engine::EngineHandle;
use nd_core::model::{AppStatus, UnitView};
use nd_supervise::{Clock, Mono};
use nd_types::UnitId;
use parking_lot::Mutex;

/// How long reading one unit's figures may take; an app whose engine hangs is shown without them.
const READ: Duration = Duration::from_millis(800);

/// Figures younger than this are not read again.
const FRESH: Duration = Duration::from_millis(900);

/// Older figures say nothing about how busy a unit is now.
const STALE: Duration = Duration::from_secs(120);

/// The last figures of each unit.
#[derive(Debug, Default)]
pub(crate) struct UsageBook {
    last: Mutex<HashMap<UnitId, Reading>>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Mono,
    cpu: Duration,
    percent: f64,
    memory: MemoryView,
}

impl UsageBook {
    /// What an app's units use together; nothing while none runs.
    pub(crate) async fn of(
        &self,
        engine: &EngineHandle,
        clock: &dyn Clock,
        status: &AppStatus,
    ) -> (Option<CpuView>, Option<MemoryView>) {
        let running = status.units.iter().filter(|unit| unit.started.is_some());
        let readings = join_all(running.map(|unit| self.read(engine, clock, unit))).await;
        let readings: Vec<Reading> = readings.into_iter().flatten().collect();
        if readings.is_empty() {
            return (None, None);
        }
        let percent: f64 = readings.iter().map(|reading| reading.percent).sum();
        let used_bytes = readings.iter().map(|reading| reading.memory.used_bytes).sum();
        let limits: Option<Vec<u64>> = readings.iter().map(|reading| reading.memory.limit_bytes).collect();
        let limit_bytes = limits.map(|limits| limits.iter().sum());
        (Some(CpuView { percent: rounded(percent) }), Some(MemoryView { used_bytes, limit_bytes }))
    }

    /// Adds to instances what each of them uses.
    pub(crate) async fn add_to(
        &self,
        engine: &EngineHandle,
        clock: &dyn Clock,
        status: &AppStatus,
        instances: &mut [InstanceView],
    ) {
        let running = status.units.iter().filter(|unit| unit.started.is_some());
        let readings = join_all(running.map(async |unit| (&unit.id, self.read(engine, clock, unit).await)));
        for (id, reading) in readings.await {
            let instance = instances.iter_mut().find(|instance| instance.id == *id);
            if let (Some(instance), Some(reading)) = (instance, reading) {
                instance.cpu = Some(CpuView { percent: rounded(reading.percent) });
                instance.memory = Some(reading.memory);
            }
        }
    }

    async fn read(&self, engine: &EngineHandle, clock: &dyn Clock, unit: &UnitView) -> Option<Reading> {
        let now = clock.mono();
        let before = self.last.lock().get(&unit.id).copied();
        if let Some(reading) = before.filter(|reading| now.saturating_since(reading.at) < FRESH) {
            return Some(reading);
        }
        let stats = tokio::time::timeout(READ, engine.stats(&unit.id)).await.ok()?.ok()?;
        let now = clock.mono();
        let uptime = unit.started.map(|started| clock.wall().duration_since(started).unsigned_abs());
        let percent = match before.filter(|reading| now.saturating_since(reading.at) < STALE) {
            Some(reading) => share(stats.cpu.saturating_sub(reading.cpu), now.saturating_since(reading.at)),
            None => share(stats.cpu, uptime.unwrap_or_default()),
        };
        let memory = MemoryView { used_bytes: stats.memory_bytes, limit_bytes: stats.memory_limit_bytes };
        let reading = Reading { at: now, cpu: stats.cpu, percent, memory };
        let mut last = self.last.lock();
        last.retain(|_, reading| now.saturating_since(reading.at) < STALE);
        last.insert(unit.id.clone(), reading);
        Some(reading)
    }
}

fn rounded(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

/// Processor time as a share of one core in percent.
fn share(cpu: Duration, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { cpu.as_secs_f64() / over.as_secs_f64() * 100.0 }
}
