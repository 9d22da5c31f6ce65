//! What can go wrong between us and an engine.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as BollardError;

/// What can go wrong between us and an engine.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// It is not there, or went away during the answer.
    #[error("docker engine at {address}: {source}")]
    Absent {
        /// Where it was looked for.
        address: String,
        /// Why that did not work.
        source: Arc<io::Error>,
    },
    /// It is there and does not answer.
    #[error("docker engine gave no answer within {}", nd_types::format_duration(*.0))]
    Timeout(Duration),
    /// It said no.
    #[error("{message}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Its answer makes no sense.
    #[error("docker engine's answer cannot be read: {0}")]
    Garbled(String),
}

impl EngineError {
    /// Whether the engine said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the engine said that something is in the way. Podman says so of a name with status 500.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. }) || self.says("that name is already in use")
    }

    /// Whether the engine's words contain `text`, which is given in lower case.
    pub(crate) fn says(&self, text: &str) -> bool {
        matches!(self, Self::Refused { message, .. } if message.to_lowercase().contains(text))
    }
}

/// An error of our transport travels through bollard inside of an I/O error and comes out as what it was.
impl From<BollardError> for EngineError {
    fn from(error: BollardError) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message }
            }
            BollardError::IOError { err } => match err.downcast::<Self>() {
                Ok(own) => own,
                Err(err) => Self::Absent { address: "its socket".to_owned(), source: Arc::new(err) },
            },
            BollardError::HyperResponseError { err } => {
                Self::Absent { address: "its socket".to_owned(), source: Arc::new(io::Error::other(err)) }
            }
            other => Self::Garbled(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_transport_comes_out_of_bollard_as_it_went_in() {
        let inside = EngineError::Refused { status: 503, message: "busy".to_owned() };
        let error = EngineError::from(BollardError::IOError { err: io::Error::other(inside) });
        assert!(matches!(error, EngineError::Refused { status: 503, .. }));
    }
}
