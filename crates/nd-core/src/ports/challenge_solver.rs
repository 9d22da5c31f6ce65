//! Who shows a certificate authority that a name is ours.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use nd_types::{Challenge, HostPattern};

use super::cert_issuer::is_name;
use super::error::PortResult;

/// Shows what a certificate authority wants to see. The data plane does, and whoever can write into the DNS.
#[async_trait]
pub trait ChallengeSolver: Send + Sync + 'static {
    /// What it can show, the preferred one first.
    fn kinds(&self) -> &[ChallengeKind];

    /// Shows it, and returns when the authority can see it, as far as that is to be known from here. Asking twice is asking
    /// once.
    async fn present(&self, proof: &Proof) -> PortResult<()>;

    /// Takes it away again. What is not there is no error.
    async fn cleanup(&self, proof: &Proof) -> PortResult<()>;
}

/// How a name is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChallengeKind {
    /// By a text at a path of plain HTTP on port 80 (RFC 8555, section 8.3).
    Http01,
    /// By a certificate of a special kind on port 443 (RFC 8737).
    TlsAlpn01,
    /// By a TXT record in the DNS (RFC 8555, section 8.4); the only one for wildcards.
    Dns01,
}

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By the data plane.
    Edge {
        /// The name that is proven, never a wildcard.
        name: HostPattern,
        /// How it answers.
        challenge: Challenge,
    },
    /// In the DNS.
    Dns01 {
        /// The name that is proven, without the `*.` of a wildcard.
        name: HostPattern,
        /// The name of the TXT record: `_acme-challenge.example.com`, without a final dot.
        record: String,
        /// Its value. Records of one name with different values stand beside each other.
        value: String,
    },
}

/// The name of whoever writes into the DNS, as it is written in `ssl.dns_provider`: `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SolverName(Box<str>);

/// Why a text is not the name of somebody who writes into the DNS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a DNS provider; write it as `cloudflare`, of a-z, 0-9 and -")]
pub struct InvalidSolver(pub String);

impl SolverName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SolverName {
    type Err = InvalidSolver;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidSolver(text.to_owned())) }
    }
}

impl fmt::Display for SolverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ChallengeKind {
    /// Its name in the registry of RFC 8555, section 9.7.8.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
        }
    }
}

impl Proof {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> ChallengeKind {
        match self {
            Self::Edge { challenge: Challenge::Http01 { .. }, .. } => ChallengeKind::Http01,
            Self::Edge { challenge: Challenge::TlsAlpn01 { .. }, .. } => ChallengeKind::TlsAlpn01,
            Self::Dns01 { .. } => ChallengeKind::Dns01,
        }
    }

    /// The name that is proven.
    #[must_use]
    pub const fn name(&self) -> &HostPattern {
        match self {
            Self::Edge { name, .. } | Self::Dns01 { name, .. } => name,
        }
    }
}
