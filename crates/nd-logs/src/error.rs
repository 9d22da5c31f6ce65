//! What can go wrong with kept lines.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nd_core::ports::{PortError, PortErrorKind};

/// Why lines could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused something.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The thread that writes has ended, which is a defect.
    #[error("the writer of the logs in {} has ended", dir.display())]
    WriterGone {
        /// The directory.
        dir: PathBuf,
    },
    /// The disk does not answer.
    #[error("logs in {}: no answer from the disk within {}", dir.display(), nd_types::format_duration(*waited))]
    Slow {
        /// The directory.
        dir: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
}

impl LogError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}

impl From<LogError> for PortError {
    fn from(error: LogError) -> Self {
        let kind = match &error {
            LogError::File { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PortErrorKind::Exhausted,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => PortErrorKind::Denied,
                _ => PortErrorKind::Transient,
            },
            LogError::WriterGone { .. } => PortErrorKind::Internal,
            LogError::Slow { .. } => PortErrorKind::Timeout,
        };
        let port_error = Self::new(kind, error.to_string());
        match kind {
            PortErrorKind::Exhausted => {
                port_error.with_fix("free some space on that disk; the logs go on by themselves")
            }
            _ => port_error,
        }
    }
}
