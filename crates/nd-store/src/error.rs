//! What can go wrong with the state file, and what the user can type then.

use std::io;
use std::path::{Path, PathBuf};

use nd_core::ports::{PortError, PortErrorKind};
use nd_core::records::RecordError;
use rusqlite::ErrorCode;

/// Why the state file could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something around the file.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what was written to it.
    #[error("state file {} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
        /// The newest copy of it, if there is one.
        copy: Option<PathBuf>,
    },
    /// The file belongs to something else.
    #[error("{} is a SQLite file, but not one of nextdeployd", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version.
    #[error("state file {} has version {found}, this nextdeployd reads up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// There is no room left; nothing was written.
    #[error("{action} {}: the disk is full, nothing was written", path.display())]
    Full {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Anything else SQLite has to say.
    #[error("{action} {}: {source}", path.display())]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A record could not be encoded or decoded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The thread that writes has ended, which is a defect.
    #[error("the writer of state file {} has ended", path.display())]
    WriterGone {
        /// The file.
        path: PathBuf,
    },
    /// The disk does not answer. Whether the records were written is not known.
    #[error("write {}: no answer from the disk within {}", path.display(), nd_types::format_duration(*waited))]
    Slow {
        /// The file.
        path: PathBuf,
        /// How long was waited.
        waited: std::time::Duration,
    },
}

impl StoreError {
    /// Sorts an error of SQLite by what can be done about it.
    pub(crate) fn sqlite(action: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { action, path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                let copy = crate::copy::newest(&path);
                Self::Damaged { path, detail: source.to_string(), copy }
            }
            _ => Self::Sqlite { action, path, source },
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::Full { action, path: path.to_owned() };
        }
        Self::File { action, path: path.to_owned(), source }
    }

    /// What the user can do about it, where that is known.
    #[must_use]
    pub fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Damaged { path, copy: Some(copy), .. } => {
                let (file, copy) = (quoted(path), quoted(copy));
                format!(
                    "go back to the copy: mv {file} {file}.damaged && rm -f {file}-wal {file}-shm && cp -p {copy} {file}"
                )
            }
            Self::Damaged { path, copy: None, .. } => {
                let file = quoted(path);
                format!(
                    "save what can be read: sqlite3 {file} .recover | sqlite3 {file}.recovered && rm -f {file}-wal {file}-shm \
                     && mv {file} {file}.damaged && mv {file}.recovered {file}"
                )
            }
            Self::Foreign { .. } => "point --data-dir at a directory of nextdeployd's own".to_owned(),
            Self::Newer { .. } | Self::Record(RecordError::Version { .. } | RecordError::Kind(_)) => {
                "upgrade nextdeployd".to_owned()
            }
            Self::Full { path, .. } => {
                let dir = path.parent().unwrap_or(path);
                format!("free some space on that disk (df -h {}); nextdeployd goes on by itself", quoted(dir))
            }
            Self::File { path, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!("give the user of nextdeployd access to {}", path.display())
            }
            Self::WriterGone { .. } => "restart nextdeployd".to_owned(),
            _ => return None,
        })
    }

    fn kind(&self) -> PortErrorKind {
        match self {
            Self::Full { .. } => PortErrorKind::Exhausted,
            Self::Foreign { .. } => PortErrorKind::Conflict,
            Self::Newer { .. } | Self::Record(RecordError::Version { .. } | RecordError::Kind(_)) => {
                PortErrorKind::Invalid
            }
            Self::Slow { .. } => PortErrorKind::Timeout,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                PortErrorKind::Denied
            }
            Self::Sqlite { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => PortErrorKind::Conflict,
                Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => PortErrorKind::Denied,
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => PortErrorKind::Transient,
                _ => PortErrorKind::Internal,
            },
            Self::File { .. } => PortErrorKind::Transient,
            Self::Damaged { .. } | Self::Record(RecordError::Damaged { .. }) | Self::WriterGone { .. } => {
                PortErrorKind::Internal
            }
        }
    }
}

impl From<StoreError> for PortError {
    fn from(error: StoreError) -> Self {
        Self { fix: error.fix(), ..Self::new(error.kind(), error.to_string()) }
    }
}

/// The path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word_in_a_shell() {
        assert_eq!(quoted(Path::new("/var/lib/a.db")), "/var/lib/a.db");
        assert_eq!(quoted(Path::new("/my data/it's")), r"'/my data/it'\''s'");
    }
}
