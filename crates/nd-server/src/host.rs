//! What the server asks of the process around it.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use nd_api::v1::{PressureView, RequestFrame};
use nd_types::Timestamp;
use nd_types::{AccessRecord, AppName};

/// The daemon's process and the host it runs on.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// The host as it is now; may be a second old.
    async fn sample(&self) -> HostSample;

    /// Everything that can be measured, in Prometheus' text format.
    async fn exposition(&self, figures: Figures) -> String;

    /// The log of requests, where there is one.
    fn requests(&self) -> Option<&dyn Requests>;

    /// What the user should know about the daemon, as in `port 80 is held by nginx (pid 812)`.
    fn notes(&self) -> Vec<String>;

    /// Reads `nextdeployd.toml` again, and says what changed and what needs a restart.
    ///
    /// # Errors
    /// What is wrong with the file; nothing has changed then.
    async fn reload(&self) -> Result<Vec<String>, String>;

    /// Puts the program that lies where this one does into the place of the proxy, and soon after of this process;
    /// answers where it lies and the version that it says it is.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    async fn upgrade(&self) -> Result<(PathBuf, String), UpgradeError>;
}

/// Why a daemon is not upgraded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// This daemon cannot be, as it is set up.
    #[error("{0}")]
    Impossible(String),
    /// One is under way.
    #[error("an upgrade is under way")]
    UnderWay,
    /// The program does not run, or its proxy does not serve.
    #[error("{0}")]
    Failed(String),
}

/// The log of the requests that the proxy served.
pub trait Requests: Send + Sync {
    /// The latest `count` requests of an app, oldest first.
    fn recent(&self, app: &AppName, count: usize) -> Vec<AccessRecord>;

    /// The requests of an app from now on.
    fn follow(&self, app: &AppName) -> BoxStream<'static, RequestFrame>;
}

/// The host at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSample {
    /// Processor use in percent of all cores.
    pub cpu_percent: f64,
    /// Memory in use in percent.
    pub memory_percent: f64,
    /// Disk in use in percent, where the data directory lies.
    pub disk_percent: f64,
    /// Resident memory of the daemon itself, in bytes.
    pub rss_bytes: u64,
    /// How long work waits for a resource, where the kernel measures that.
    pub pressure: Option<PressureView>,
    /// Processes that have ended and whose parents have not asked how.
    pub zombies: u32,
    /// More about the host, for machines.
    pub details: serde_json::Value,
}

/// What the server knows that belongs into the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How long the daemon runs.
    pub uptime: Duration,
    /// API requests answered.
    pub api_requests: u64,
    /// Errors of the daemon itself.
    pub errors: u64,
    /// Workers of the daemon that are not in order.
    pub workers_down: u32,
    /// Every certificate by its first name, and when it ends.
    pub certs: Vec<(String, Timestamp)>,
    /// Every app.
    pub apps: Vec<AppFigures>,
}

/// One app's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFigures {
    /// The app.
    pub app: AppName,
    /// Instances that serve.
    pub ready: u32,
    /// Instances that should.
    pub desired: u32,
    /// Restarts nobody asked for.
    pub restarts: u64,
    /// Ends nobody asked for.
    pub crashes: u64,
    /// Deployments that ended well.
    pub deployments_succeeded: u64,
    /// Deployments that did not.
    pub deployments_failed: u64,
}
