//! How a name looks from outside.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use nd_types::{HostPattern, Timestamp};

use super::cert_issuer::IssuerName;
use super::error::PortError;

/// Looks at names as their visitors do: in the DNS, and at the addresses it gives. Each look ends within seconds.
#[async_trait]
pub trait NameProbe: Send + Sync + 'static {
    /// Where the DNS leads, and whether it lets an issuer issue for the name. Never asked about a wildcard.
    async fn dns(&self, name: &HostPattern, issuer: Option<&IssuerName>) -> DnsReport;

    /// What is answered at an address to a request of plain HTTP for a path of the name.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    async fn http(&self, name: &HostPattern, at: SocketAddr, path: &str) -> Result<HttpAnswer, String>;

    /// Which certificate is shown at an address to who asks for the name; whether anybody would trust it does not matter.
    ///
    /// # Errors
    /// Why there is none, in words.
    async fn tls(&self, name: &HostPattern, at: SocketAddr) -> Result<ShownCert, String>;
}

/// What the DNS says of a name.
#[derive(Debug, Default)]
pub struct DnsReport {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Those of them that are this machine's, as far as it knows.
    pub ours: Vec<IpAddr>,
    /// What would have to be another way, each with what to do: it leads elsewhere, or an authority may not issue for it.
    pub troubles: Vec<PortError>,
    /// Why nothing is known.
    pub unknown: Option<String>,
}

/// An answer of plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// What it says of the server.
    pub server: Option<String>,
    /// The beginning of its body.
    pub body: String,
}

/// A certificate as a visitor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCert {
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Who signed it.
    pub signed_by: String,
    /// Its names.
    pub names: Vec<String>,
    /// Valid up to and including.
    pub not_after: Timestamp,
}
