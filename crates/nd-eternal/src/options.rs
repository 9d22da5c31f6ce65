//! What is kept running, and how.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// How often the statistics are logged, unless it is said otherwise.
pub const STATS_INTERVAL: Duration = Duration::from_secs(300);

/// What is kept running, and how. Paths are absolute, so that a later `daemon restart` from elsewhere means the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Where its output and what happens is written.
    pub log_file: PathBuf,
    /// Where the number of the watching process is written.
    pub pid_file: PathBuf,
    /// When it is started again.
    pub policy: Policy,
    /// From the wish to stop to SIGKILL. Default 5 s.
    pub kill_timeout: Duration,
    /// How often the statistics are logged.
    pub stats_interval: Duration,
}

impl Options {
    /// A command in this directory, with the default of everything: `./logs/daemon.log` and `./daemon.pid`.
    #[must_use]
    pub fn new(command: Vec<String>, cwd: PathBuf) -> Self {
        Self {
            command,
            log_file: cwd.join("logs/daemon.log"),
            pid_file: cwd.join("daemon.pid"),
            cwd,
            policy: Policy::default(),
            kill_timeout: Duration::from_secs(5),
            stats_interval: STATS_INTERVAL,
        }
    }
}
