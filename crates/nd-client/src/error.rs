//! Why a call failed.

use std::io;
use std::time::Duration;

use nd_api::v1::Problem;
use nd_types::format_duration;

use crate::host::Host;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("the daemon is not reachable at {host}: {source}")]
    Unreachable {
        /// Where.
        host: Host,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke in the middle of a call.
    #[error("the connection to the daemon at {host} broke off: {reason}")]
    Broken {
        /// Where.
        host: Host,
        /// What happened.
        reason: String,
    },
    /// No answer in time; the daemon may do it all the same.
    #[error("the daemon at {host} did not answer within {}", format_duration(*.within))]
    Timeout {
        /// Where.
        host: Host,
        /// How long was waited.
        within: Duration,
    },
    /// The daemon refused.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The answer is not what this version expects.
    #[error("the daemon at {host} answered something else than expected: {reason}")]
    Unexpected {
        /// Where.
        host: Host,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// What the daemon said, if it was the daemon that refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether nothing was heard of the daemon, so that asking again may help.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. })
    }
}
