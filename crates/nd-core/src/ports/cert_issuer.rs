//! Who issues certificates.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use nd_types::{Certificate, HostPattern, Timestamp};

use super::challenge_solver::{ChallengeKind, ChallengeSolver};
use super::error::PortResult;

/// Issues certificates: an authority on the net, one of our own, or files that somebody else keeps.
///
/// An error's `retry_after` is what the authority asked for; a kind that [may pass](super::PortErrorKind::may_pass) and
/// has none is tried again with growing pauses, any other one only after somebody changed something.
#[async_trait]
pub trait CertIssuer: Send + Sync + 'static {
    /// Its name in `ssl.provider`.
    fn name(&self) -> &IssuerName;

    /// How it may want names to be proven: one of these for each. None where it asks for no proof.
    fn challenges(&self) -> &[ChallengeKind] {
        &[]
    }

    /// The root that clients must be told to trust; none of an authority that the world knows.
    async fn root(&self) -> PortResult<Option<RootCert>> {
        Ok(None)
    }

    /// Gets a certificate for the names of the order, proving that they are ours by the first of the `solvers` that can
    /// do what the authority asks for. May take minutes, within deadlines of its own.
    ///
    /// What was presented is cleaned up again, however it ends. Whoever drops the future has to do that: a solver may
    /// forget a proof at any time.
    async fn issue(&self, order: &CertOrder, solvers: &[Arc<dyn ChallengeSolver>]) -> PortResult<IssuedCert>;

    /// Makes a certificate of this issuer worthless before its time. One that is revoked already is no error.
    async fn revoke(&self, cert: &IssuedCert, reason: RevocationReason) -> PortResult<()>;

    /// When to get the next one, by `order`. Asks the authority where it knows better (RFC 9773), and answers without it
    /// where it cannot be reached.
    async fn renewal(&self, cert: &IssuedCert, order: &CertOrder) -> PortResult<Renewal>;
}

/// What is wanted of an issuer.
#[derive(Clone, Debug, Default)]
pub struct CertOrder {
    /// The names; at least one, wildcards for one label among them (`*.example.com`).
    pub names: Vec<HostPattern>,
    /// Whether to order although the names do not lead here, as far as can be seen from here.
    pub unchecked: bool,
    /// The kind of certificate, of those that the authority offers by name.
    pub profile: Option<String>,
    /// Of several chains the one whose last issuer has this common name.
    pub preferred_chain: Option<String>,
    /// The certificate that this one follows (RFC 9773, section 5).
    pub replaces: Option<IssuedCert>,
    /// Where it lies, for the issuer that only reads.
    pub files: Option<CertFiles>,
    /// Where the authority writes to when something is wrong with it, in place of the address that its settings give.
    pub email: Option<String>,
}

/// A certificate that somebody else keeps up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFiles {
    /// The certificate and those that lead to its root, as PEM.
    pub chain: PathBuf,
    /// Its private key as PEM.
    pub key: PathBuf,
}

/// A certificate with what people and timers want to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCert {
    /// The certificate, its chain and its key.
    pub certificate: Arc<Certificate>,
    /// Its serial number in lower-case hexadecimal digits, two a byte.
    pub serial: String,
    /// Who signed it: the common name, else the whole distinguished name.
    pub signed_by: String,
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid up to and including.
    pub not_after: Timestamp,
}

/// The root of an authority of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCert {
    /// The certificate as PEM, without its key.
    pub pem: String,
    /// What it calls itself.
    pub name: String,
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Valid up to and including.
    pub not_after: Timestamp,
}

/// When a certificate is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// From when on. The same for the same certificate, so that a restart changes nothing.
    pub due: Timestamp,
    /// When to ask again; the answer may have changed by then.
    pub ask_again: Timestamp,
    /// Where the time comes from, for people.
    pub why: String,
}

/// Why a certificate is revoked (RFC 5280, section 5.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// None is given.
    #[default]
    Unspecified,
    /// Somebody else has the key.
    KeyCompromise,
    /// Another certificate took its place.
    Superseded,
    /// The names are not served any more.
    CessationOfOperation,
}

/// The name of an issuer, as it is written in `ssl.provider`: `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerName(Box<str>);

/// Why a text is not the name of an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an issuer; write it as `letsencrypt`, of a-z, 0-9 and -")]
pub struct InvalidIssuer(pub String);

impl IssuerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IssuerName {
    type Err = InvalidIssuer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidIssuer(text.to_owned())) }
    }
}

/// Whether a text is one that issuers and solvers can be called.
pub(super) fn is_name(text: &str) -> bool {
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(known)
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_issuer_is_one_that_can_be_a_directory() {
        assert!("letsencrypt-staging".parse::<IssuerName>().is_ok());
        for wrong in ["", "..", "Zero SSL", "a/b"] {
            assert_eq!(wrong.parse::<IssuerName>(), Err(InvalidIssuer(wrong.to_owned())));
        }
    }
}
