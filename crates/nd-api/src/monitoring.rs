//! The payloads of `/api/monitoring/…`: how the daemon is, how the host was lately, and every app and worker.

use nd_types::{AppName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::flat::{HealthErrors, HealthMemory, Status};
use crate::v1::{InstancesView, Phase, PressureView, WorkerView};

/// The payload of `GET /api/monitoring/health`: `GET /health` with what it is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitoringHealth {
    /// `ok`, or `degraded` while a check fails.
    pub status: String,
    /// Now.
    pub timestamp: Timestamp,
    /// `nextdeployd`.
    pub service: String,
    /// As in `0.1.0`.
    pub version: String,
    /// How long the daemon runs, in seconds.
    pub uptime: f64,
    /// Memory of the daemon itself.
    pub memory: HealthMemory,
    /// Errors of the daemon itself.
    pub errors: HealthErrors,
    /// API requests answered since the start.
    pub requests: u64,
    /// What was looked at.
    pub checks: Vec<HealthCheck>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What, as in `worker engine` or `apps`.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What there is to say.
    pub message: String,
}

/// The payload of `GET /api/monitoring/metrics`: the host now, and how it was in the last hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitoringMetrics {
    /// The host now.
    pub now: HostFigures,
    /// Time between two samples, in milliseconds.
    pub interval_ms: u64,
    /// The host in the last hour, oldest first.
    pub samples: Vec<HostFigures>,
}

/// The host at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostFigures {
    /// When.
    pub ts: Timestamp,
    /// Processor use in percent of all cores.
    pub cpu: f64,
    /// Memory in use in percent.
    pub memory: f64,
    /// Disk in use in percent, where the data directory lies.
    pub disk: f64,
    /// Resident memory of the daemon itself, in bytes.
    pub rss: u64,
    /// Processes that have ended and whose parents have not asked how.
    pub zombies: u32,
    /// How long work waits for a resource, where the kernel measures that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<PressureView>,
}

/// The payload of `GET /api/monitoring/services`: every app and every worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringServices {
    /// Every app.
    pub apps: Vec<ServiceState>,
    /// Every worker inside the daemon.
    pub workers: Vec<WorkerView>,
}

/// How one app is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name.
    pub name: AppName,
    /// Its state in one of four words.
    pub status: Status,
    /// Its state more finely.
    pub phase: Phase,
    /// Why it is in this state, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many instances there are and how many are ready.
    pub instances: InstancesView,
    /// Restarts that nobody asked for since it was first deployed.
    pub restarts: u64,
    /// Ends that nobody asked for since it was first deployed.
    pub crashes: u64,
    /// When its wanted state was last changed.
    pub updated_at: Timestamp,
}
