//! Apps and their instances.

use std::fmt;

use nd_types::{AppName, ExitStatus, ReleaseId, RuntimeKind, Timestamp, UnitId};
use serde::{Deserialize, Serialize};

use super::{AppConfigView, LogLine};
use crate::flat::Status;
use crate::manifest::RestartPolicy;

/// An app's state, as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A new release is on its way.
    Deploying,
    /// Every wanted instance is ready.
    Running,
    /// It serves, with fewer instances than wanted.
    Degraded,
    /// The release before is on its way back.
    RollingBack,
    /// No instance can be kept running.
    Failed,
    /// Nothing runs, because nobody has asked for it; the next request wakes it.
    Sleeping,
    /// It is being stopped.
    Stopping,
    /// It is stopped.
    Stopped,
    /// It is being destroyed.
    Removing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::RollingBack => "rolling_back",
            Self::Failed => "failed",
            Self::Sleeping => "sleeping",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Removing => "removing",
        })
    }
}

/// What the user wants an app to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Running.
    Running,
    /// Stopped.
    Stopped,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppView {
    /// Its name.
    pub name: AppName,
    /// Its state.
    pub phase: Phase,
    /// Its state in one of four words.
    pub status: Status,
    /// Why it is in this state, where there is a reason, as in `exit 1: ECONNREFUSED :6379`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the user wants it to be.
    pub desired_state: DesiredState,
    /// When it is started again after it ended.
    pub policy: RestartPolicy,
    /// How many instances there are and how many are ready.
    pub instances: InstancesView,
    /// The release that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// The release that is tried with some of the clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryView>,
    /// The instance that stands by for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorView>,
    /// What runs it.
    pub runtime: RuntimeKind,
    /// The image, for a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The command, where one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The server that something else runs, where the app is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Where it answers; the first of `urls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Everywhere it answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The port it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The host name that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Which of the user's environments it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Since when its longest-running instance runs, in milliseconds; nothing while none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Restarts since it was first deployed.
    pub restarts: u64,
    /// Restarts within the last 24 hours.
    pub restarts_24h: u64,
    /// Ends nobody asked for since it was first deployed.
    pub crashes: u64,
    /// The last end of an instance that nobody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<ExitView>,
    /// The last time an instance was started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<RestartView>,
    /// Processor use of all instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuView>,
    /// Memory of all instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checked: Option<Timestamp>,
    /// When its wanted state was last changed.
    pub updated_at: Timestamp,
    /// What its release says about how it runs; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<AppConfigView>>,
    /// Its instances; left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<InstanceView>,
    /// Its last log lines; left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A release that is tried with some of the clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryView {
    /// The release.
    pub release: ReleaseId,
    /// How many of a hundred clients get it.
    pub percent: u8,
    /// Which step that is, from 1.
    pub step: u16,
    /// How many steps there are before it takes over.
    pub steps: u16,
    /// When the step ends, unless the release does badly; absent where nothing is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// An instance that stands by for the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorView {
    /// The instance.
    pub instance: UnitId,
    /// Whether it could serve.
    pub ready: bool,
    /// Whether it does.
    pub serves: bool,
    /// Since when another one has failed for which it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When what has failed is tried again at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How many instances of an app there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancesView {
    /// Ready to serve.
    pub ready: u32,
    /// Wanted.
    pub desired: u32,
}

/// Processor use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuView {
    /// In percent of one core.
    pub percent: f64,
}

/// Memory use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryView {
    /// In use.
    pub used_bytes: u64,
    /// The limit, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
}

/// An instance's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Its image is being fetched.
    Preparing,
    /// It exists and does not run.
    Created,
    /// It runs and has not answered yet.
    Starting,
    /// It has answered and is watched before it serves.
    Warming,
    /// It can serve.
    Ready,
    /// It runs and fails its probes.
    Unhealthy,
    /// It gets no new requests and finishes those it has.
    Draining,
    /// It ended because it was asked to.
    Stopped,
    /// It ended by itself.
    Crashed,
    /// It no longer exists.
    Gone,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preparing => "preparing",
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Warming => "warming",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Gone => "gone",
        })
    }
}

/// An end of an instance that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitView {
    /// The instance.
    pub instance: UnitId,
    /// When it was seen.
    pub at: Timestamp,
    /// How it ended.
    pub exit: ExitStatus,
    /// How long it had run, in milliseconds.
    pub uptime_ms: u64,
    /// The same in one line, as in `exit code 1 after 2.3s`.
    pub reason: String,
}

/// A start of an instance that had run before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartView {
    /// The instance.
    pub instance: UnitId,
    /// When.
    pub at: Timestamp,
    /// Why, in one word: `exited`, `out_of_memory`, `health`, `memory_limit`, `cron`, `manual`, `found_stopped`.
    pub cause: String,
    /// Why, in words.
    pub reason: String,
}

/// One container or process of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its id, as in `shop-8f3k2a-1`.
    pub id: UnitId,
    /// Its place among the instances of its release, from 1.
    pub slot: u16,
    /// The release it runs.
    pub release: ReleaseId,
    /// What runs it.
    pub runtime: RuntimeKind,
    /// Its state.
    pub state: InstanceState,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How long it runs, in milliseconds; nothing while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// How often it was restarted.
    pub restarts: u64,
    /// How it ended, while it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitStatus>,
    /// Why it does not serve, where that is known: what its last health check said, or how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its last end that nobody asked for, also when it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<ExitView>,
    /// When and why it was last started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<RestartView>,
    /// Its processor use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuView>,
    /// Its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
    /// Where it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its main process on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The engine's id of its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}
