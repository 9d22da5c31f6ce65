//! The event bus: numbers facts, hands them to whoever listens, and stores them in batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use nd_types::{AppName, DeploymentId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::events::{Severity, StoredEvent};
use crate::model::Fact;
use crate::ports::StateStore;
use crate::records::Record;

/// Events kept in memory, for those who come a little late.
const RECENT: usize = 4096;

/// Events that may wait for the store; when it is slower than that for long, the oldest are dropped and counted.
const UNSTORED: usize = 16_384;

/// So many numbers are set aside for events that are told and not stored yet. After a crash they are not given again:
/// whoever follows would take the next events for those it has seen.
const SET_ASIDE: u64 = UNSTORED as u64;

/// How long an event may wait for others before it is stored.
const BATCH: Duration = Duration::from_millis(500);

pub(crate) struct EventBus {
    state: Mutex<State>,
    live: broadcast::Sender<Arc<StoredEvent>>,
    more: Notify,
}

struct State {
    next_id: u64,
    recent: VecDeque<Arc<StoredEvent>>,
    unstored: VecDeque<Arc<StoredEvent>>,
    dropped: u64,
}

impl EventBus {
    /// Goes on above what was stored last and what may have been `told` before (0 where nothing ever was). Answers too what
    /// this one may tell before it has stored anything, which is to be kept before it begins.
    pub(crate) fn above(stored: u64, told: u64) -> (Self, u64) {
        let since_stored = if stored == 0 { 0 } else { stored + SET_ASIDE };
        let last = since_stored.max(told);
        let state =
            State { next_id: last + 1, recent: VecDeque::new(), unstored: VecDeque::new(), dropped: 0 };
        let bus = Self { state: Mutex::new(state), live: broadcast::Sender::new(1024), more: Notify::new() };
        (bus, last + SET_ASIDE)
    }

    /// Publishes a fact, of an app where it is about one.
    pub(crate) fn publish(&self, app: Option<&AppName>, fact: Fact, actor: Option<String>, at: Timestamp) {
        let mut state = self.state.lock();
        let event = Arc::new(StoredEvent {
            id: state.next_id,
            at,
            app: app.cloned(),
            unit: fact.unit,
            deployment: fact.deployment,
            actor,
            what: fact.what,
        });
        state.next_id += 1;
        state.recent.push_back(Arc::clone(&event));
        if state.recent.len() > RECENT {
            state.recent.pop_front();
        }
        state.unstored.push_back(Arc::clone(&event));
        if state.unstored.len() > UNSTORED {
            state.unstored.pop_front();
            state.dropped += 1;
        }
        // Sent under the lock, so that everybody sees events in the order of their numbers. Nobody listening is fine.
        self.live.send(Arc::clone(&event)).ok();
        drop(state);
        self.more.notify_one();
        log(&event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.live.subscribe()
    }

    /// The events of a deployment that are still in memory, oldest first, and everything from then on.
    pub(crate) fn of_deployment(
        &self,
        id: &DeploymentId,
    ) -> (Vec<Arc<StoredEvent>>, broadcast::Receiver<Arc<StoredEvent>>) {
        let state = self.state.lock();
        let past =
            state.recent.iter().filter(|event| event.deployment.as_ref() == Some(id)).cloned().collect();
        (past, self.live.subscribe())
    }

    /// Stores events until `shutdown`.
    pub(crate) async fn write(&self, store: &dyn StateStore, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = self.more.notified() => {}
                () = shutdown.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(BATCH) => {}
                () = shutdown.cancelled() => return,
            }
            self.flush(store).await;
        }
    }

    /// Stores what is waiting; what cannot be stored waits on.
    pub(crate) async fn flush(&self, store: &dyn StateStore) {
        let batch: Vec<Arc<StoredEvent>> = self.state.lock().unstored.iter().cloned().collect();
        let Some(last) = batch.last().map(|event| event.id) else { return };
        let records = batch.iter().map(|event| Record::Event(Box::new(event.as_ref().clone()))).collect();
        match store.append(records).await {
            Ok(_) => {
                let mut state = self.state.lock();
                while state.unstored.front().is_some_and(|event| event.id <= last) {
                    state.unstored.pop_front();
                }
                if std::mem::take(&mut state.dropped) > 0 {
                    tracing::warn!("events were dropped because they could not be stored in time");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "events could not be stored; trying again with the next ones");
            }
        }
    }
}

fn log(event: &StoredEvent) {
    let app = event.app.as_ref().map_or("-", AppName::as_str);
    let unit = event.unit.as_ref().map_or("-", |unit| unit.as_str());
    let (kind, title) = (event.what.type_name(), event.what.title());
    match event.what.severity() {
        Severity::Info => tracing::info!(app, unit, kind, "{title}"),
        Severity::Warning => tracing::warn!(app, unit, kind, "{title}"),
        Severity::Error => tracing::error!(app, unit, kind, "{title}"),
    }
}
