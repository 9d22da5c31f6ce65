//! What can go wrong, and what the core gets to see of it.

use std::io;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use nd_core::ports::{PortError, PortErrorKind};
use nd_supervise::TaskFailure;
use nd_types::UnitId;

use crate::protocol::{Refusal, RefusalKind};

/// A failure of the process runtime.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A path that cannot be used.
    #[error("{what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The range of ports is empty.
    #[error("lease ports {first} to {last}: the first one is above the last one")]
    PortRange {
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
    /// All ports of the range are taken.
    #[error("lease a port from {first} to {last}: all of them are in use or were given back minutes ago")]
    NoPort {
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
    /// A port that an app insists on is one of those that are leased.
    #[error("take host port {port}: ports {first} to {last} are leased to instances")]
    PortLeased {
        /// The port.
        port: NonZeroU16,
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
    /// Somebody else listens on the port that the app insists on.
    #[error("start on host port {0}: somebody else listens there")]
    PortTaken(NonZeroU16),
    /// The release runs something else than a command.
    #[error("run unit {0} as a process: its release is no command")]
    NoCommand(UnitId),
    /// There is no such unit.
    #[error("unit {0} does not exist")]
    NoUnit(UnitId),
    /// It has to run for this.
    #[error("unit {0} does not run")]
    NotRunning(UnitId),
    /// Nothing with this name is in PATH.
    #[error("command `{program}` was not found in PATH (searched {searched})")]
    NotInPath {
        /// The name.
        program: String,
        /// The directories that were searched.
        searched: String,
    },
    /// There is no such file.
    #[error("command `{program}` was not found: there is no file {path}")]
    NoProgram {
        /// The program as it was written.
        program: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// The file is no program.
    #[error("command `{program}` cannot be executed: {path} {reason}")]
    NotExecutable {
        /// The program as it was written.
        program: String,
        /// The file that was found.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No program was given.
    #[error("the command is empty")]
    EmptyCommand,
    /// The working directory is missing or something else.
    #[error("working directory {path} {reason}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system knows no such user or group.
    #[error("there is no {kind} `{name}` on this host")]
    NoSuch {
        /// User or group.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Only root may start programs as somebody else.
    #[error(
        "run as user `{0}`: the daemon does not run as root and can only start processes as its own user"
    )]
    OtherUser(String),
    /// The shim said no.
    #[error("{message}")]
    Refused {
        /// What kind of no.
        kind: PortErrorKind,
        /// Why.
        message: String,
    },
    /// The shim does not answer, or not in time.
    #[error("{what} of unit {unit}: its shim did not answer within {} s", .limit.as_secs())]
    Timeout {
        /// What was asked.
        what: &'static str,
        /// Of which unit.
        unit: UnitId,
        /// How long it had.
        limit: Duration,
    },
    /// The connection to a shim failed, or no shim could be started.
    #[error("{what} of unit {unit}")]
    Shim {
        /// What was asked.
        what: &'static str,
        /// Of which unit.
        unit: UnitId,
        /// What the system said.
        source: io::Error,
    },
    /// A command ran longer than it may.
    #[error("command `{program}` in unit {unit} was killed: it ran longer than {limit:?}")]
    ExecTimeout {
        /// The program.
        program: String,
        /// In which unit.
        unit: UnitId,
        /// How long it had.
        limit: Duration,
    },
    /// The daemon goes down, or has a defect.
    #[error("work in the background")]
    Task(#[from] TaskFailure),
}

impl ProcessError {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { what, path: path.into(), source }
    }

    fn kind(&self) -> PortErrorKind {
        match self {
            Self::NoUnit(_)
            | Self::NotInPath { .. }
            | Self::NoProgram { .. }
            | Self::Directory { .. }
            | Self::NoSuch { .. } => PortErrorKind::NotFound,
            Self::NoCommand(_) | Self::EmptyCommand | Self::PortRange { .. } | Self::PortLeased { .. } => {
                PortErrorKind::Invalid
            }
            Self::NotRunning(_) | Self::PortTaken(_) => PortErrorKind::Conflict,
            Self::NotExecutable { .. } | Self::OtherUser(_) => PortErrorKind::Denied,
            Self::NoPort { .. } => PortErrorKind::Exhausted,
            Self::Timeout { .. } | Self::ExecTimeout { .. } => PortErrorKind::Timeout,
            Self::Shim { .. } => PortErrorKind::Transient,
            Self::Task(_) => PortErrorKind::Internal,
            Self::File { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PortErrorKind::Exhausted,
                io::ErrorKind::PermissionDenied => PortErrorKind::Denied,
                _ => PortErrorKind::Internal,
            },
            Self::Refused { kind, .. } => *kind,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::NotInPath { program, .. } => {
                format!("install `{program}`, or write its whole path, as in `/usr/local/bin/{program}`")
            }
            Self::NoProgram { .. } => {
                "a relative path is looked up from the app's working directory".to_owned()
            }
            Self::NotExecutable { path, reason, .. } if *reason == NO_RIGHT => {
                format!("chmod +x {}", path.display())
            }
            Self::NoPort { .. } => {
                "widen `first_port` and `last_port` under `[process]` in nextdeployd.toml".to_owned()
            }
            Self::PortLeased { .. } => "choose another port in `ports`".to_owned(),
            Self::PortTaken(port) => {
                format!(
                    "end what listens there (`ss -ltnp 'sport = :{port}'` names it), or choose another port"
                )
            }
            Self::NoSuch { kind, .. } => {
                format!("name a {kind} of /etc/passwd and /etc/group, or write its number")
            }
            Self::OtherUser(_) => "leave out `user`, or run the daemon as root".to_owned(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on the disk that holds the data directory".to_owned()
            }
            Self::File { path, source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                let dir = path.parent().unwrap_or(path).display();
                format!(
                    "the file is damaged: stop what still runs of the unit, remove {dir} and deploy again"
                )
            }
            _ => return None,
        })
    }
}

/// Said of a file without the right to execute it.
pub(crate) const NO_RIGHT: &str = "has no execute permission";

impl From<Refusal> for ProcessError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::Busy => PortErrorKind::Conflict,
            RefusalKind::NotFound => PortErrorKind::NotFound,
            RefusalKind::Denied => PortErrorKind::Denied,
            RefusalKind::Invalid => PortErrorKind::Invalid,
            RefusalKind::Exhausted => PortErrorKind::Exhausted,
            RefusalKind::Internal => PortErrorKind::Internal,
        };
        Self::Refused { kind, message: refusal.message }
    }
}

impl From<ProcessError> for PortError {
    fn from(error: ProcessError) -> Self {
        let mut port = Self::new(error.kind(), error.to_string());
        port.fix = error.fix();
        port.source = match error {
            ProcessError::File { source, .. } | ProcessError::Shim { source, .. } => Some(Box::new(source)),
            ProcessError::Task(failure) => Some(Box::new(failure)),
            _ => None,
        };
        port
    }
}
