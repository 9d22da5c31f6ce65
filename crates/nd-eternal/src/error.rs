//! Why something did not happen.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failure of eternal mode itself, or of what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum EternalError {
    /// It runs already.
    #[error("it runs already: process {pid} holds {}", .pid_file.display())]
    Running {
        /// The process that watches.
        pid: u32,
        /// Its pid file.
        pid_file: PathBuf,
    },
    /// Nothing runs with this pid file.
    #[error("nothing runs with the pid file {}{}", .pid_file.display(), .stale.as_ref().map_or_else(String::new, |why| format!(" ({why})")))]
    NotRunning {
        /// The pid file.
        pid_file: PathBuf,
        /// Why the pid file that is there does not count.
        stale: Option<String>,
    },
    /// Nothing was ever started with this pid file, and no command was given.
    #[error("there is nothing to start: no command was given")]
    NoCommand,
    /// The program cannot be found.
    #[error("{0}")]
    NotFound(String),
    /// The program cannot be executed.
    #[error("{0}")]
    NotExecutable(String),
    /// It does not end.
    #[error("process {pid} did not end within {} s", .limit.as_secs())]
    TimedOut {
        /// The process that watches.
        pid: u32,
        /// How long it had.
        limit: Duration,
    },
    /// What runs in the background did not start.
    #[error("{message}")]
    Background {
        /// What it said.
        message: String,
        /// The exit code it ended with.
        code: u8,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl EternalError {
    /// The exit code: 2 for a wrong command line, 3 for what is not there, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoCommand => 2,
            Self::NotFound(_) | Self::NotRunning { .. } => 3,
            Self::Background { code, .. } => *code,
            Self::Running { .. } | Self::NotExecutable(_) | Self::TimedOut { .. } | Self::System { .. } => 1,
        }
    }

    /// What to type next, after the program's name.
    #[must_use]
    pub fn fix(&self) -> Option<String> {
        match self {
            Self::Running { pid_file, .. } => Some(format!(
                "daemon restart --pid-file {0}    (or `daemon stop`, or another --pid-file for a second one)",
                pid_file.display()
            )),
            Self::NoCommand => Some("daemon start -- COMMAND".to_owned()),
            Self::NotRunning { pid_file, .. } => {
                Some(format!("daemon start --pid-file {} -- COMMAND", pid_file.display()))
            }
            _ => None,
        }
    }

    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
