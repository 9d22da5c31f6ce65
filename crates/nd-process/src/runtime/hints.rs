//! What happens to units, as it happens: one connection to each shim, over which nothing flows until something changes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures_util::StreamExt;
use nd_core::ports::{HintKind, HintStream, UnitHint};
use nd_supervise::TaskSet;
use nd_types::UnitId;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use super::shims::Shims;
use crate::error::ProcessError;
use crate::record::UnitRecord;

/// Hints that a slow subscriber may have before it; past them it is told to look at everything.
const BACKLOG: usize = 1024;

/// Follows units and tells subscribers.
#[derive(Debug)]
pub(super) struct Hints {
    shared: Arc<Shared>,
    tasks: TaskSet,
}

#[derive(Debug)]
struct Shared {
    sender: broadcast::Sender<UnitHint>,
    /// Units with a task that follows them, and whether they were started again since.
    followed: Mutex<HashMap<UnitId, bool>>,
}

impl Hints {
    pub(super) fn new() -> Self {
        let shared = Shared { sender: broadcast::Sender::new(BACKLOG), followed: Mutex::new(HashMap::new()) };
        Self { shared: Arc::new(shared), tasks: TaskSet::new("process units") }
    }

    /// Follows the unit for as long as its shim lives; `started` says that it was started just now, so that there must
    /// be a shim.
    pub(super) fn follow(&self, shims: &Shims, record: &UnitRecord, started: bool) {
        match self.shared.followed.lock().entry(record.id.clone()) {
            Entry::Occupied(mut again) => {
                *again.get_mut() |= started;
                return;
            }
            Entry::Vacant(new) => new.insert(false),
        };
        let (shared, shims, record) = (Arc::clone(&self.shared), shims.clone(), record.clone());
        self.tasks.spawn("follow a unit", async move { shared.follow(&shims, &record, started).await });
    }

    /// Says that the unit was removed.
    pub(super) fn removed(&self, unit: &UnitId) {
        self.shared.say(unit, HintKind::Removed);
    }

    /// All hints from now on.
    pub(super) fn subscribe(&self) -> HintStream {
        let hints = BroadcastStream::new(self.shared.sender.subscribe());
        Box::pin(hints.map(|hint| {
            // The only failure is to have missed some.
            hint.unwrap_or(UnitHint { unit: None, kind: HintKind::Resync })
        }))
    }
}

impl Shared {
    async fn follow(&self, shims: &Shims, record: &UnitRecord, mut started: bool) {
        loop {
            if self.follow_shim(shims, record, started).await {
                // The shim was killed; nobody will see the unit's own end.
                self.say(&record.id, HintKind::Died);
            }
            let mut followed = self.followed.lock();
            match followed.get_mut(&record.id) {
                // A new shim may have been started between the end of the old one and now.
                Some(again @ true) => started = std::mem::take(again),
                _ => {
                    followed.remove(&record.id);
                    return;
                }
            }
        }
    }

    /// Follows one shim to its end; true when its unit ran until then. `running` says what is known before.
    async fn follow_shim(&self, shims: &Shims, record: &UnitRecord, mut running: bool) -> bool {
        let followed = async {
            let Some(mut watch) = shims.watch(record).await? else { return Ok(()) };
            while let Some(status) = watch.next().await? {
                running = status.phase.is_running();
                self.say(&record.id, if running { HintKind::Started } else { HintKind::Died });
            }
            Ok::<_, ProcessError>(())
        };
        if let Err(error) = followed.await {
            tracing::warn!(unit = %record.id, %error, "changes of the unit are not seen at once");
        }
        running
    }

    fn say(&self, unit: &UnitId, kind: HintKind) {
        // Nobody listens: nothing is lost.
        self.sender.send(UnitHint { unit: Some(unit.clone()), kind }).ok();
    }
}
