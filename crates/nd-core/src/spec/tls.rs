//! What an app wants of TLS.

use std::sync::Arc;

use nd_types::{HostPattern, ServiceTls};

use crate::ports::{CertFiles, IssuerName, SolverName};

/// Certificates of an app, and how its visitors come to use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSpec {
    /// Whether its hosts get certificates.
    pub enabled: bool,
    /// From whom; from the daemon's own choice when absent.
    pub issuer: Option<IssuerName>,
    /// Names that get one beside the hosts of its routes.
    pub domains: Vec<HostPattern>,
    /// Whether each certificate is for all names one label below its own one as well.
    pub wildcard: bool,
    /// Whether they are renewed before they expire.
    pub auto_renew: bool,
    /// Where the certificate lies, for the issuer that only reads.
    pub files: Option<CertFiles>,
    /// Who writes proofs of its names into the DNS; then they are proven there, whatever else would do.
    pub dns_provider: Option<SolverName>,
    /// Where the issuer writes to when something is wrong with them; where its settings say when absent.
    pub email: Option<String>,
    /// What the data plane does for it.
    pub service: Arc<ServiceTls>,
}

impl Default for TlsSpec {
    /// A certificate for each host, renewed in time; nobody is sent anywhere.
    fn default() -> Self {
        Self {
            enabled: true,
            issuer: None,
            domains: Vec::new(),
            wildcard: false,
            auto_renew: true,
            files: None,
            dns_provider: None,
            email: None,
            service: Arc::default(),
        }
    }
}
