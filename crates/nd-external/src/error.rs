//! What can go wrong, and what the core gets to see of it.

use std::io;
use std::path::PathBuf;

use nd_core::ports::{PortError, PortErrorKind};
use nd_supervise::TaskFailure;
use nd_types::UnitId;

/// A failure of the runtime of external servers.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
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
    /// The server's name leads nowhere.
    #[error("look up `{name}`, which has no address")]
    NoAddress {
        /// The name.
        name: String,
        /// What the resolver said, where it said something.
        source: Option<io::Error>,
    },
    /// The release runs here.
    #[error("bring requests to unit {0}: its release names no upstream")]
    NoUpstream(UnitId),
    /// Work on the disk that did not come to an end.
    #[error("work on the disk")]
    Task(#[from] TaskFailure),
    /// There is no such unit.
    #[error("unit {0} does not exist")]
    NoUnit(UnitId),
    /// Something that only whoever runs the server can do.
    #[error("{what} {unit}: its server is run by something else")]
    Elsewhere {
        /// What was tried.
        what: &'static str,
        /// With which unit.
        unit: UnitId,
    },
}

impl From<ExternalError> for PortError {
    fn from(error: ExternalError) -> Self {
        let (kind, fix) = match &error {
            ExternalError::File { .. } => (PortErrorKind::Transient, None),
            ExternalError::Task(_) => (PortErrorKind::Internal, None),
            ExternalError::NoAddress { .. } => {
                (PortErrorKind::NotFound, Some("correct `upstream`, or write the server's address"))
            }
            ExternalError::NoUpstream(_) | ExternalError::Elsewhere { .. } => (PortErrorKind::Invalid, None),
            ExternalError::NoUnit(_) => (PortErrorKind::NotFound, None),
        };
        let mut port = Self::new(kind, error.to_string());
        port.fix = fix.map(str::to_owned);
        port.source = match error {
            ExternalError::File { source, .. } => Some(Box::new(source)),
            ExternalError::Task(failure) => Some(Box::new(failure)),
            ExternalError::NoAddress { source, .. } => source.map(Into::into),
            ExternalError::NoUpstream(_) | ExternalError::NoUnit(_) | ExternalError::Elsewhere { .. } => None,
        };
        port
    }
}
