//! Asking a unit whether it is well.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use nd_types::AppProtocol;

use crate::spec::HttpProbe;

/// Asks over the network whether something answers.
#[async_trait]
pub trait HealthProbe: Send + Sync + 'static {
    /// Asks once. Never fails and never takes longer than the request's timeout: every trouble is an outcome.
    async fn probe(&self, request: &ProbeRequest) -> ProbeOutcome;
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Who is asked.
    pub address: SocketAddr,
    /// What is asked.
    pub target: ProbeTarget,
    /// What HTTP is spoken in.
    pub protocol: AppProtocol,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeTarget {
    /// `GET path` answers with one of its statuses.
    Http(HttpProbe),
    /// A connection is accepted.
    Tcp,
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It is well.
    Pass {
        /// The HTTP status, if HTTP was asked.
        status: Option<u16>,
        /// How long the answer took.
        took: Duration,
    },
    /// It is not.
    Fail(ProbeFailure),
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// Nothing listens.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("no answer within {}", nd_types::format_duration(*.0))]
    Timeout(Duration),
    /// A status that is not accepted; with the first bytes of the body.
    #[error("status {status}{}", if body.is_empty() { String::new() } else { format!(" ({body})") })]
    Status {
        /// The status.
        status: u16,
        /// The first line of the body, at most 200 characters.
        body: String,
    },
    /// The port speaks something other than HTTP.
    #[error("the port answers, but not with HTTP")]
    NotHttp,
    /// The connection ended before an answer came.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}
