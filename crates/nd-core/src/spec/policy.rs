//! When a unit is started again, and how it is stopped.

use std::fmt;
use std::time::Duration;

use nd_types::{ByteSize, ExitStatus};

use super::schedule::Schedule;

/// Which exits are answered with a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Every exit.
    Always,
    /// Every exit that is not a success.
    OnFailure,
    /// Every exit, unless the user stopped the app.
    UnlessStopped,
    /// None.
    Never,
}

impl RestartPolicy {
    /// Whether a unit that ended with `exit` is started again.
    #[must_use]
    pub fn restarts_after(self, exit: ExitStatus) -> bool {
        match self {
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure => !exit.is_success(),
            Self::Never => false,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::UnlessStopped => "unless-stopped",
            Self::Never => "never",
        })
    }
}

/// When and how often a unit is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartSpec {
    /// Which exits count.
    pub policy: RestartPolicy,
    /// How many restarts in all; `None` is no limit.
    pub max_restarts: Option<u32>,
    /// A unit that ran this long was not crashing.
    pub min_uptime: Duration,
    /// The wait before the second restart; the first one follows at once unless this was declared.
    pub delay: Duration,
    /// Whether `delay` was declared, and so holds for the first restart too.
    pub delay_declared: bool,
    /// What the wait is multiplied with from one restart to the next.
    pub backoff_factor: u32,
    /// The longest wait.
    pub max_delay: Duration,
    /// How many crashes within `crash_window` end the attempts.
    pub crash_threshold: u32,
    /// See `crash_threshold`.
    pub crash_window: Duration,
    /// How long after a crash loop one more attempt is made.
    pub cooldown: Duration,
    /// Exit codes that count as "do not start again".
    pub stop_exit_codes: Vec<i32>,
    /// A unit that uses more memory than this is started anew, where possible without a gap.
    pub max_memory: Option<ByteSize>,
    /// When all units are started anew, where possible without a gap.
    pub cron: Option<Schedule>,
}

impl Default for RestartSpec {
    /// `always` without limit; at once, then 500 ms doubling to 30 s; 5 crashes within 60 s are a crash loop.
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Always,
            max_restarts: None,
            min_uptime: Duration::from_secs(10),
            delay: Duration::from_millis(500),
            delay_declared: false,
            backoff_factor: 2,
            max_delay: Duration::from_secs(30),
            crash_threshold: 5,
            crash_window: Duration::from_secs(60),
            cooldown: Duration::from_secs(300),
            stop_exit_codes: Vec::new(),
            max_memory: None,
            cron: None,
        }
    }
}

/// How a unit is asked to stop, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSpec {
    /// The signal's number; `None` takes the image's `STOPSIGNAL`, else SIGTERM.
    pub signal: Option<i32>,
    /// Time until SIGKILL.
    pub grace: Duration,
}

impl Default for StopSpec {
    /// SIGTERM, 30 s.
    fn default() -> Self {
        Self { signal: None, grace: Duration::from_secs(30) }
    }
}
