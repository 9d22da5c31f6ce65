//! What a look found.

use nd_types::Timestamp;
use serde::Serialize;

use crate::host::HostFigures;

/// What is found at all targets, and the figures of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When.
    pub at: Timestamp,
    /// How many targets and workers are not as they should be, or were not when the round began.
    pub problems: usize,
    /// The targets.
    pub targets: Vec<Finding>,
    /// The workers inside the daemon, where apps of it were asked for.
    pub workers: Vec<Finding>,
    /// The machine that this runs on.
    pub host: HostFigures,
}

/// What was found at one target, or at a part of it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// Its name, as in `shop` or `docker:db`.
    pub name: String,
    /// Whether that is well.
    pub health: Health,
    /// Its state in its manager's own word, as in `running` or `exited`.
    pub state: String,
    /// Why it is not well, as in `exit 137, out of memory`; else what there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it runs, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// How often it was restarted, as its manager counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Its main process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Processor use in percent of one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Usage>,
    /// Where it listens, as in `3000` or `0.0.0.0:80->8080/tcp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// What came of its restart, where this round restarted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted: Option<Restarted>,
    /// Its instances, services or processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Finding>,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An app of the daemon.
    App,
    /// An instance of an app.
    Instance,
    /// A container.
    Docker,
    /// A unit of systemd.
    Systemd,
    /// A process of PM2.
    Pm2,
    /// A Compose file.
    Compose,
    /// A service of a Compose file.
    Service,
    /// A URL.
    Url,
    /// A worker inside the daemon.
    Worker,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is.
    Well,
    /// It is not meant to run: it was stopped, or has done its work.
    Idle,
    /// On its way.
    Busy,
    /// It serves, and less well than it should.
    Degraded,
    /// Its manager could not be asked.
    Unasked,
    /// Its manager does not know it.
    Unknown,
    /// It is down.
    Failed,
}

impl Health {
    /// Whether somebody should look.
    #[must_use]
    pub fn is_problem(self) -> bool {
        self >= Self::Degraded
    }
}

/// How much of something is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// In use.
    pub used_bytes: u64,
    /// How much there is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
}

/// What came of a restart.
#[derive(Clone, Debug, Serialize)]
pub struct Restarted {
    /// Whether it is up again.
    pub ok: bool,
    /// What it was before.
    pub before: String,
    /// Why the restart failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Finding {
    /// One of which no more is known.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>, health: Health, state: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            health,
            state: state.into(),
            reason: None,
            uptime_ms: None,
            restarts: None,
            pid: None,
            cpu_percent: None,
            memory: None,
            ports: Vec::new(),
            restarted: None,
            parts: Vec::new(),
        }
    }

    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Whether it was not as it should be when the round began, or is not now.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        self.health.is_problem() || self.restarted.is_some()
    }
}

/// Milliseconds since a time.
pub(crate) fn millis_since(at: Timestamp) -> Option<u64> {
    u64::try_from(Timestamp::now().duration_since(at).as_millis()).ok()
}
