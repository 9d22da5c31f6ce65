//! A store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use nd_core::ports::{HistoryQuery, PortError, PortErrorKind, PortResult, Seq, Snapshot, StateStore};
use nd_core::records::{Record, RecordError, StoredEvent};
use nd_types::Timestamp;
use parking_lot::Mutex;

/// Intent and history in memory, in their stored form. Clones share one content: a clone is the store after a reopening.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    records: BTreeMap<(&'static str, String), String>,
    events: BTreeMap<u64, StoredEvent>,
    last_event: u64,
    written: u64,
    full: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, appends are refused as if the disk were full, or are taken again.
    pub fn set_full(&self, full: bool) {
        self.content.lock().full = full;
    }

    /// How many records were ever written.
    #[must_use]
    pub fn written(&self) -> Seq {
        Seq(self.content.lock().written)
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn load(&self) -> PortResult<Snapshot> {
        let content = self.content.lock();
        let decoded = content.records.iter().map(|((kind, key), body)| Record::decode(kind, key, body));
        Ok(Snapshot {
            records: decoded.collect::<Result<_, _>>().map_err(|e| unreadable(&e))?,
            last_event: content.last_event,
        })
    }

    async fn append(&self, records: Vec<Record>) -> PortResult<Seq> {
        let mut content = self.content.lock();
        if content.full {
            return Err(PortError::new(
                PortErrorKind::Exhausted,
                "write state: the disk is full, nothing was written",
            ));
        }
        // All or nothing: the batch goes to a copy, which replaces the content only when all of it went well.
        let mut next = content.clone();
        for record in records {
            next.take(record).map_err(|error| unreadable(&error))?;
        }
        *content = next;
        Ok(Seq(content.written))
    }

    async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>> {
        let wanted = |event: &&StoredEvent| {
            query.app.as_ref().is_none_or(|app| event.app.as_ref() == Some(app))
                && query.deployment.as_ref().is_none_or(|id| event.deployment.as_ref() == Some(id))
                && query.before.is_none_or(|before| event.id < before)
                && query.after.is_none_or(|after| event.id > after)
        };
        let content = self.content.lock();
        Ok(content.events.values().rev().filter(wanted).take(query.limit).cloned().collect())
    }

    async fn compact(&self, before: Timestamp) -> PortResult<()> {
        self.content.lock().events.retain(|_, event| event.at >= before);
        Ok(())
    }
}

impl Content {
    fn take(&mut self, record: Record) -> Result<(), RecordError> {
        self.written += 1;
        let stored = record.encode()?;
        match (record, stored.body) {
            (Record::Event(event), _) => {
                self.last_event = self.last_event.max(event.id);
                self.events.insert(event.id, *event);
            }
            (_, Some(body)) => {
                self.records.insert((stored.kind, stored.key), body);
            }
            (_, None) => {
                self.records.remove(&(stored.kind, stored.key));
            }
        }
        Ok(())
    }
}

fn unreadable(error: &RecordError) -> PortError {
    PortError::new(PortErrorKind::Internal, error.to_string())
}
