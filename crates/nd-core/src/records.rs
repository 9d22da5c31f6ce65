//! The stored form of intent and history: versioned, separate from the types the engine works with.
//!
//! A record is one JSON object under a kind and a key. Its version is part of the object, so that a later version of
//! the engine reads what an earlier one wrote; golden files in `tests/records` hold one object of each version.

mod app;
mod cert;
pub(crate) mod domains;
mod release;

use nd_types::{AppName, DaemonId, DeploymentId, ReleaseId, Timestamp};
use serde::{Deserialize, Serialize};

pub use crate::events::StoredEvent;
pub(crate) use app::UNDO_LIMIT;
pub use app::{AppRecord, BakeRecord, BakeReference, CanaryRecord, RolloutRecord, RolloutStage, RunIntent};
pub use cert::{CertOrderEnd, CertOrderRecord, CertRecord};
pub use domains::{DomainsRecord, RemovedDomain};
pub use release::ReleaseRecord;

use crate::diagnosis::Diagnosis;

/// One stored thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Who this data directory belongs to.
    Daemon(DaemonRecord),
    /// What an app should be.
    App(Box<AppRecord>),
    /// One release of an app.
    Release(Box<ReleaseRecord>),
    /// A release that is gone for good.
    ReleaseGone(ReleaseId),
    /// One attempt to make a release serve.
    Deployment(Box<DeploymentRecord>),
    /// What became of the certificate of a name.
    Cert(Box<CertRecord>),
    /// Something that happened.
    Event(Box<StoredEvent>),
}

/// Who this data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonRecord {
    /// The id its containers are labelled with.
    pub id: DaemonId,
    /// Events have numbers above this one from the next start on: those below may have been told although they were never
    /// stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told: u64,
}

/// One attempt to make a release serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// Its id.
    pub id: DeploymentId,
    /// The app.
    pub app: AppName,
    /// Which edit of its app began it. Of two deployments of one app the higher number is the later one, also when the
    /// clock was set back between them. 0 for a unit that was adopted, and in records of before this was kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// The release that was to serve.
    pub release: ReleaseId,
    /// The release that served before.
    pub previous: Option<ReleaseId>,
    /// How it stands.
    pub status: DeploymentStatus,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The strategy that was chosen.
    pub strategy: nd_types::StrategyName,
    /// Why that strategy, when it was not the one asked for.
    pub strategy_reason: Option<String>,
    /// Who asked for it.
    pub actor: String,
    /// What they said about it.
    pub message: Option<String>,
    /// What the request for it is known by when it is sent again; means nothing to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Why it failed.
    pub error: Option<Diagnosis>,
    /// Things the user should know.
    pub notes: Vec<String>,
    /// What became of requests while it went on; where another release served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// What became of requests during a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Answered below 500.
    pub served: u64,
    /// Of all, those that had to wait.
    pub held: u64,
    /// Of all, those that were sent a second time.
    pub retried: u64,
    /// Answered with 500 or more.
    pub failed: u64,
    /// In flight on the old release, WebSockets included, and cut at the end of the drain time.
    pub cut: u64,
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { served, held, retried, failed, cut } = self;
        write!(f, "{served} requests served, {held} held, {retried} retried, {failed} failed, {cut} cut")
    }
}

impl DeploymentRecord {
    /// Puts the deployments of one app in order: the later one is the greater.
    #[must_use]
    pub fn order(&self) -> (u64, Timestamp) {
        (self.revision, self.created_at)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStatus {
    /// Under way.
    Running,
    /// The release serves.
    Succeeded,
    /// The release did not come to serve; what served before still does.
    Failed,
    /// The release served, failed within the bake window and was replaced by the one before.
    RolledBack,
    /// It failed, and what served before could not be brought back.
    RollbackFailed,
    /// The user ended it.
    Cancelled,
}

/// A record as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Which sort of record: `daemon`, `app`, `release`, `deployment`, `cert`, `event`.
    pub kind: &'static str,
    /// Unique within the kind.
    pub key: String,
    /// The JSON object; `None` deletes the record.
    pub body: Option<String>,
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A kind this version does not know.
    #[error("record kind `{0}` is not known to this version of nextdeployd")]
    Kind(String),
    /// A version this version does not know.
    #[error("{kind} record has version {found}, this nextdeployd reads up to {known}; upgrade nextdeployd")]
    Version {
        /// The kind of record.
        kind: String,
        /// The version found.
        found: u64,
        /// The newest version known.
        known: u64,
    },
    /// The object does not have the form of its version.
    #[error("{kind} record `{key}` is damaged: {source}")]
    Damaged {
        /// The kind of record.
        kind: String,
        /// Its key.
        key: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}

const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u64,
    #[serde(flatten)]
    body: T,
}

impl Record {
    /// Whether nothing of `older` counts any more once this one is stored.
    #[must_use]
    pub fn replaces(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::Daemon(_), Self::Daemon(_)) => true,
            (Self::App(new), Self::App(old)) => new.app == old.app,
            (Self::Release(new), Self::Release(old)) => new.id == old.id,
            (Self::ReleaseGone(gone), Self::Release(old)) => *gone == old.id,
            (Self::Release(new), Self::ReleaseGone(gone)) => new.id == *gone,
            (Self::Deployment(new), Self::Deployment(old)) => new.id == old.id,
            (Self::Cert(new), Self::Cert(old)) => new.name == old.name,
            _ => false,
        }
    }

    /// The stored form.
    ///
    /// # Errors
    /// Never in practice: every record type serializes.
    pub fn encode(&self) -> Result<StoredRecord, RecordError> {
        match self {
            Self::Daemon(daemon) => stored("daemon", "self".to_owned(), daemon),
            Self::App(app) => stored("app", app.app.to_string(), app.as_ref()),
            Self::Release(release) => stored("release", release.id.to_string(), release.as_ref()),
            Self::ReleaseGone(id) => Ok(StoredRecord { kind: "release", key: id.to_string(), body: None }),
            Self::Deployment(deployment) => {
                stored("deployment", deployment.id.to_string(), deployment.as_ref())
            }
            Self::Cert(cert) => stored("cert", cert.name.to_string(), cert.as_ref()),
            Self::Event(event) => stored("event", event.id.to_string(), event.as_ref()),
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`RecordError`] when the kind or version is from a later version, or the object is damaged.
    pub fn decode(kind: &str, key: &str, body: &str) -> Result<Self, RecordError> {
        Ok(match kind {
            "daemon" => Self::Daemon(parsed(kind, key, body)?),
            "app" => Self::App(Box::new(parsed(kind, key, body)?)),
            "release" => Self::Release(Box::new(parsed(kind, key, body)?)),
            "deployment" => Self::Deployment(Box::new(parsed(kind, key, body)?)),
            "cert" => Self::Cert(Box::new(parsed(kind, key, body)?)),
            "event" => Self::Event(Box::new(parsed(kind, key, body)?)),
            _ => return Err(RecordError::Kind(kind.to_owned())),
        })
    }
}

fn stored<T: Serialize>(kind: &'static str, key: String, body: &T) -> Result<StoredRecord, RecordError> {
    match serde_json::to_string(&Versioned { v: VERSION, body }) {
        Ok(body) => Ok(StoredRecord { kind, key, body: Some(body) }),
        Err(source) => Err(RecordError::Damaged { kind: kind.to_owned(), key, source }),
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(kind: &str, key: &str, body: &str) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let damaged = |source| RecordError::Damaged { kind: kind.to_owned(), key: key.to_owned(), source };
    let Version { v } = serde_json::from_str(body).map_err(damaged)?;
    if v != VERSION {
        return Err(RecordError::Version { kind: kind.to_owned(), found: v, known: VERSION });
    }
    serde_json::from_str::<Versioned<T>>(body).map(|versioned| versioned.body).map_err(damaged)
}
