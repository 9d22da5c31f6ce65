//! Where certificates are kept.

use async_trait::async_trait;
use nd_types::{HostPattern, KeyPem};

use super::cert_issuer::{IssuedCert, IssuerName};
use super::error::PortResult;

/// Keeps certificates with their keys, and reads those that somebody brings.
#[async_trait]
pub trait CertStore: Send + Sync + 'static {
    /// Everything that is kept. A damaged one is told, and keeps nobody from the others.
    async fn load(&self) -> PortResult<KeptCerts>;

    /// Keeps one under its first name, in place of the one that stands there. When this returns it is there after a crash;
    /// when it fails the old one still is.
    async fn save(&self, kept: &KeptCert) -> PortResult<()>;

    /// Forgets the one of that first name. None is no error.
    async fn remove(&self, name: &HostPattern) -> PortResult<()>;

    /// Reads a certificate that somebody brings, and checks it: that it can be parsed, that the key is its own, that the chain is
    /// in order and that it is valid today. Keeps nothing.
    fn read(&self, chain: &str, key: &KeyPem) -> PortResult<IssuedCert>;
}

/// A certificate and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCert {
    /// Who issued it; nobody of ours where it was imported.
    pub issuer: Option<IssuerName>,
    /// The certificate.
    pub cert: IssuedCert,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptCerts {
    /// By their first name.
    pub certs: Vec<KeptCert>,
    /// Those that cannot be used.
    pub faults: Vec<CertFault>,
}

/// A certificate that is kept and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFault {
    /// Where it lies, for people.
    pub place: String,
    /// Why it cannot be used, and what to do about it.
    pub error: String,
}
