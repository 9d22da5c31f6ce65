//! What a release says about how its instances run.

use nd_types::{ReleaseId, StrategyName};
use serde::{Deserialize, Serialize};

use crate::manifest::{ProxyType, RestartPolicy};

/// How the instances of an app's release run. Values of variables are never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppConfigView {
    /// What a container runs in place of its image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// What other containers call it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The directory of a plain process, or inside a container where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The user it runs as, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Names of its variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// What one instance may use.
    #[serde(default)]
    pub limits: LimitsView,
    /// When an instance is started again.
    pub restart: RestartRulesView,
    /// How its health is seen.
    pub health: HealthCheckView,
    /// How an instance is stopped.
    pub stop: StopView,
    /// Ports of the host that lead to it, as in `127.0.0.1:3000→3000`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<String>,
    /// Whether it has these ports itself, without the proxy in front; then no route leads to it either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// What brings its requests, where that is not the daemon's own proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_type: Option<ProxyType>,
    /// Whether destroying it needs force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletion_protection: bool,
    /// What is mounted into it, as in `data:/data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// How a release replaces another, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// How long requests in flight may take to finish, in milliseconds.
    pub drain_ms: u64,
    /// Releases that can be rolled back to, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_releases: Vec<ReleaseId>,
    /// Where its log lines are kept on the server.
    pub log_dir: String,
}

/// What one instance may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsView {
    /// Processor time in percent of one core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

/// When an instance is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRulesView {
    /// After which ends.
    pub policy: RestartPolicy,
    /// How often at all; nothing is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// An instance that ran this long was not crashing, in milliseconds.
    pub min_uptime_ms: u64,
    /// The wait before the second restart, in milliseconds; before the first one too where `delay_first` is set.
    pub delay_ms: u64,
    /// Whether the first restart waits as well.
    #[serde(default)]
    pub delay_first: bool,
    /// What the wait is multiplied by each time.
    pub backoff: u32,
    /// The longest wait, in milliseconds.
    pub max_delay_ms: u64,
    /// How many early ends within `crash_window_ms` are a crash loop.
    pub crash_threshold: u32,
    /// The time in which they are counted, in milliseconds.
    pub crash_window_ms: u64,
    /// Exit codes after which it stays stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_exit_codes: Vec<i32>,
    /// Memory at which an instance is replaced, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// When all instances are started anew, in the notation of cron.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
}

/// How the health of an instance is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckView {
    /// What is asked, as in `GET /health (200-399)`, `tcp`, `node check.js` or `auto`.
    pub probe: String,
    /// Names of the headers it is asked with; their values are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// The port that is asked, where it is not the app's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Time between two probes of an instance that serves, in milliseconds.
    pub interval_ms: u64,
    /// How long one probe may take, in milliseconds.
    pub timeout_ms: u64,
    /// Failures in a row until the instance gets no more requests; at twice as many it is restarted.
    pub retries: u32,
    /// How long a starting instance may fail its probes, in milliseconds.
    pub start_period_ms: u64,
}

/// How an instance is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopView {
    /// The number of the signal; nothing is the image's own one, else SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Time until SIGKILL, in milliseconds.
    pub grace_ms: u64,
}
