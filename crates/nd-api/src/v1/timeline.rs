//! What happened to an app and why, in one line of time.

use nd_types::{AppName, DeploymentId, Timestamp, UnitId};
use serde::{Deserialize, Serialize};

use super::Severity;

/// What happened to an app, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineView {
    /// The app.
    pub app: AppName,
    /// What happened.
    pub items: Vec<TimelineEntry>,
    /// How long work of the host waits for a resource now, where its kernel measures that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<PressureView>,
    /// Whether there is more before the first entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The number of its event.
    pub id: u64,
    /// When.
    pub ts: Timestamp,
    /// What kind, as in `instance.exited`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How much attention it wants.
    pub severity: Severity,
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
    /// The last lines that the instance wrote before it, oldest first; only of ends that nobody asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
}

/// How long work of the host waits for a resource: Linux' pressure stall information (`/proc/pressure`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PressureView {
    /// Waiting for a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<PressureStall>,
    /// Waiting for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<PressureStall>,
    /// Waiting for disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io: Option<PressureStall>,
}

/// The share of time, in percent, in which at least one task waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PressureStall {
    /// In the last 10 seconds.
    pub avg10: f64,
    /// In the last minute.
    pub avg60: f64,
    /// In the last five minutes.
    pub avg300: f64,
}

/// The parameters of `GET /apps/{app}/timeline`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineQuery {
    /// Only what happened from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many of the last entries at most; 50 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
