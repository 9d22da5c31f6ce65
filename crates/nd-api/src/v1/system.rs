//! The daemon itself.

use nd_types::{AppName, DeploymentId, Timestamp};
use serde::{Deserialize, Serialize};

use super::AppView;

/// The version of one binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// As in `0.1.0`.
    pub version: String,
    /// The commit it was built from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The system and architecture it was built for, as in `linux/amd64`.
    pub platform: String,
    /// Versions of the API it speaks.
    pub api: Vec<String>,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonView {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it runs, in milliseconds.
    pub uptime_ms: u64,
    /// `ok`, or `degraded` while a worker is down or a port is taken.
    pub status: String,
    /// Restarts of apps since it started.
    pub restarts: u64,
    /// Crashes of apps since it started.
    pub crashes: u64,
    /// The host's name.
    pub host: String,
    /// Where everything is kept.
    pub data_dir: String,
    /// Its control socket.
    pub socket: String,
    /// Where the API listens on TCP; nothing where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where the proxy listens; nothing where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The runtimes that can be used now.
    pub runtimes: Vec<String>,
    /// What the user should know, as in `port 80 is held by nginx (pid 812)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An upgrade that is under way: the daemon is back, as another one, when `started_at` of its view has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeView {
    /// The program that takes over.
    pub program: String,
    /// The version that was asked.
    pub from: String,
    /// The version that the program says it is.
    pub to: String,
    /// When the daemon that goes was started.
    pub started_at: Timestamp,
}

/// How a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It has not begun.
    Pending,
    /// It works.
    Running,
    /// It failed and waits until it is restarted.
    Backoff,
    /// It failed too often and is left alone.
    Quarantined,
    /// It ended as it should.
    Done,
}

/// One worker inside the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: WorkerState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How often it was restarted.
    pub restarts: u64,
    /// How often it has panicked.
    #[serde(default)]
    pub panics: u64,
    /// Whether the daemon is unwell without it.
    pub critical: bool,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<Timestamp>,
    /// How long ago it gave a sign of life, in milliseconds; nothing for one that gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_age_ms: Option<u64>,
}

/// The answer to a verb that edits what is wanted: `start`, `stop`, `restart`, `scale`, `rollback`, `DELETE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// The app.
    pub app: AppName,
    /// What was asked for, as in `scale to 3`.
    pub operation: String,
    /// The deployment whose stream tells how it goes on, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Whether it is as asked; false where nobody waited, or not long enough.
    #[serde(default)]
    pub settled: bool,
    /// The app after it; nothing once it is destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<AppView>>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
