//! Events: what happened, in order.

use nd_types::{AppName, DeploymentId, Timestamp, UnitId};
use serde::{Deserialize, Serialize};

/// How much attention an event wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Business as usual.
    Info,
    /// Worth a look.
    Warning,
    /// Something is broken.
    Error,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Grows with every event of the daemon; also the `id:` of the event stream.
    pub id: u64,
    /// When.
    pub ts: Timestamp,
    /// What kind, as in `instance.crashed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How much attention it wants.
    pub severity: Severity,
    /// The app it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The instance it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<UnitId>,
    /// The deployment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Who caused it, when a user did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What happened, in one line.
    pub title: String,
    /// The details, for machines.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
}

/// The parameters of `GET /events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only of this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Only of this kind, or of a whole group: `deploy`, `deploy.failed`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only events after the one with this id, oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Stay connected and send what happens: as NDJSON, or as server-sent events to who accepts those.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// How many at most; 50 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where to go on, from the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
