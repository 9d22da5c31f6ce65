//! Brings the output of units into a log store.

mod reader;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use nd_core::ports::{LogCollector, LogCursor, LogStore, PortResult, Runtime};
use nd_supervise::{CancellationToken, TaskSet};
use nd_types::{RuntimeKind, Timestamp, UnitId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use reader::Reader;

/// How long the removal of a unit may wait for its last lines.
const READ_OUT: Duration = Duration::from_secs(5);

/// How long a runtime may take to show the last line of a unit that has ended. A unit that wrote nothing shows none.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Reads units through their runtimes into a log store: one task a unit.
///
/// Reading goes on where the store's newest line of the unit ends, so a restart of the daemon loses and doubles
/// nothing. Trouble with runtime or store is waited out; the runtime holds the lines meanwhile.
#[derive(Clone)]
pub struct Collector {
    shared: Arc<Shared>,
}

struct Shared {
    runtimes: Vec<Arc<dyn Runtime>>,
    store: Arc<dyn LogStore>,
    units: Mutex<HashMap<UnitId, Followed>>,
    tasks: TaskSet,
}

/// A unit that is read.
#[derive(Clone)]
struct Followed {
    runtime: Arc<dyn Runtime>,
    /// Cancelled when the unit is forgotten, or by the reader when the unit is gone.
    stop: CancellationToken,
    /// The time of the latest line that is kept.
    kept: watch::Receiver<Option<Timestamp>>,
}

impl Collector {
    /// Reads from these runtimes into `store`.
    pub fn new(runtimes: impl IntoIterator<Item = Arc<dyn Runtime>>, store: Arc<dyn LogStore>) -> Self {
        let runtimes = runtimes.into_iter().collect();
        let (units, tasks) = (Mutex::default(), TaskSet::new("log collector"));
        Self { shared: Arc::new(Shared { runtimes, store, units, tasks }) }
    }

    /// How many units are read now.
    #[must_use]
    pub fn followed(&self) -> usize {
        self.shared.units.lock().values().filter(|unit| !unit.stop.is_cancelled()).count()
    }

    /// Stops reading. What is not kept yet is read at the next start.
    pub async fn shutdown(&self) {
        for unit in self.shared.units.lock().values() {
            unit.stop.cancel();
        }
        self.shared.tasks.shutdown(READ_OUT).await;
    }
}

#[async_trait]
impl LogCollector for Collector {
    fn follow(&self, unit: &UnitId, kind: RuntimeKind) {
        let Some(runtime) = self.shared.runtimes.iter().find(|runtime| runtime.caps().kind == kind) else {
            tracing::error!(%unit, %kind, "no runtime of that kind to read output from");
            return;
        };
        if !runtime.caps().has_output {
            return;
        }
        let mut units = self.shared.units.lock();
        if units.get(unit).is_some_and(|followed| !followed.stop.is_cancelled()) {
            return;
        }
        let stop = CancellationToken::new();
        let (told, kept) = watch::channel(None);
        let reader = Reader::new(unit.clone(), Arc::clone(runtime), Arc::clone(&self.shared.store), told);
        units.insert(unit.clone(), Followed { runtime: Arc::clone(runtime), stop: stop.clone(), kept });
        drop(units);
        self.shared.tasks.spawn("read output", async move {
            // However it ends, by a panic too: the next look at the unit follows it anew.
            let _ended = stop.clone().drop_guard();
            stop.run_until_cancelled(reader.run()).await;
        });
    }

    /// At most 5 s.
    async fn read_out(&self, unit: &UnitId) {
        let followed = self.shared.units.lock().get(unit).filter(|unit| !unit.stop.is_cancelled()).cloned();
        let Some(followed) = followed else { return };
        match timeout(READ_OUT, followed.catch_up(unit)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%unit, %error, "the last lines of a unit may be lost"),
            Err(_) => {
                tracing::warn!(%unit, "the last lines of a unit may be lost: they were not read in time");
            }
        }
    }

    fn forget(&self, unit: &UnitId) {
        if let Some(followed) = self.shared.units.lock().remove(unit) {
            followed.stop.cancel();
        }
    }
}

impl Followed {
    /// Waits until the unit's last line is kept. Ends early when the unit is forgotten.
    async fn catch_up(mut self, unit: &UnitId) -> PortResult<()> {
        let mut tail = self.runtime.logs(unit, LogCursor::Tail(1)).await?;
        let Ok(Some(last)) = timeout(LAST_LINE, tail.next()).await else { return Ok(()) };
        let last = last?.at;
        // An error means that the reader is gone, and with it the unit.
        self.kept.wait_for(|kept| kept.is_some_and(|kept| kept >= last)).await.ok();
        Ok(())
    }
}
