//! Where intent and history are kept.

use async_trait::async_trait;
use nd_types::{AppName, DeploymentId, Timestamp};

use super::error::PortResult;
use crate::records::{Record, StoredEvent};

/// The number of the last record that is safe on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// Keeps records. What `append` has answered is on disk and survives a power cut; events alone survive the end of the
/// daemon at once, and a power cut from the next record on.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// Everything but the events.
    async fn load(&self) -> PortResult<Snapshot>;

    /// Writes all of `records`, or none. A record replaces the older one of the same key; events are added.
    ///
    /// # Errors
    /// `Exhausted` when the disk is full: nothing was written, and the caller must not act as if it were.
    async fn append(&self, records: Vec<Record>) -> PortResult<Seq>;

    /// Events, newest first.
    async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>>;

    /// Forgets events older than `before`, and returns the space to the system.
    async fn compact(&self, before: Timestamp) -> PortResult<()>;
}

/// Everything a starting engine needs.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// All records but events, in no particular order, one per key.
    pub records: Vec<Record>,
    /// The number of the newest event.
    pub last_event: u64,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only of this app.
    pub app: Option<AppName>,
    /// Only of this deployment.
    pub deployment: Option<DeploymentId>,
    /// Only with a number below this: the cursor of the next page.
    pub before: Option<u64>,
    /// Only with a number above this: what came since.
    pub after: Option<u64>,
    /// At most so many; 0 is none.
    pub limit: usize,
}
