//! What can go wrong between a client and its daemon.

use std::io;
use std::time::Duration;

use nd_api::v1::Problem;

use crate::host::Host;

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("the daemon at {host} cannot be reached: {source}")]
    Unreachable {
        /// Where it was looked for.
        host: Host,
        /// Why the connection failed.
        source: io::Error,
    },
    /// The answer took too long.
    #[error("the daemon did not answer {doing} within {within:?}")]
    Timeout {
        /// The request, as in `GET /api/v1/apps`.
        doing: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the connection to the daemon broke during {doing}: {reason}")]
    Broken {
        /// The request, as in `GET /api/v1/apps`.
        doing: String,
        /// What happened.
        reason: String,
    },
    /// The daemon refused, and says why.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The answer is none that this version understands.
    #[error("the answer to {doing} is not understood: {reason}; `nextdeploy version` shows both versions")]
    Garbled {
        /// The request, as in `GET /api/v1/apps`.
        doing: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Broken { .. } | Self::Garbled { .. } => {
                None
            }
        }
    }

    /// Whether the daemon went away, so that asking again later may help.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. })
    }

    /// What to type next.
    #[must_use]
    pub fn fix(&self) -> Vec<String> {
        match self {
            Self::Refused(problem) => problem.fix.clone(),
            Self::Unreachable { host, source } => unreachable_fix(host, source),
            Self::Timeout { .. } | Self::Broken { .. } | Self::Garbled { .. } => Vec::new(),
        }
    }
}

fn unreachable_fix(host: &Host, source: &io::Error) -> Vec<String> {
    let start = "nextdeployd run --dev".to_owned();
    let elsewhere = "--host unix:///PATH or NEXTDEPLOY_HOST, for a daemon that is elsewhere".to_owned();
    match (host, source.kind()) {
        (Host::Unix(_), io::ErrorKind::PermissionDenied) => {
            vec!["sudo usermod -aG nextdeploy $USER, then log in again".to_owned()]
        }
        (host, _) if host.is_local() => vec![start, elsewhere],
        _ => vec![elsewhere],
    }
}
