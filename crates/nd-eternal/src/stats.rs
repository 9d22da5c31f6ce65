//! What eternal mode says about itself.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What eternal mode does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The command runs.
    Running,
    /// It has crashed and is started again in a moment.
    Restarting,
    /// It was asked to stop and has not ended yet.
    Stopping,
    /// It has ended, as it should.
    Stopped,
    /// It has crashed too often.
    Failed,
}

/// How it went so far. Shown as the line `Daemon Stats: {…}`, the rest of which is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// How long eternal mode has been up.
    pub uptime: Duration,
    /// How often the command was started again.
    pub restarts: u64,
    /// How often it crashed.
    pub crashes: u64,
    /// What it does now.
    pub status: Status,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = nd_types::format_duration(Duration::from_secs(self.uptime.as_secs()));
        let uptime = if self.uptime.as_secs() == 0 { "0s" } else { &uptime };
        let Self { restarts, crashes, status, .. } = self;
        write!(
            f,
            r#"Daemon Stats: {{"uptime":"{uptime}","restarts":{restarts},"crashes":{crashes},"status":"{status}"}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_one_line() {
        let stats =
            Stats { uptime: Duration::from_secs(6120), restarts: 3, crashes: 2, status: Status::Running };
        assert_eq!(
            stats.to_string(),
            r#"Daemon Stats: {"uptime":"1h42m","restarts":3,"crashes":2,"status":"running"}"#
        );
    }
}
