//! What it takes to speak TLS: certificates, where they are used, and the answers that prove who we are to a certificate
//! authority.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::host::HostPattern;

/// TLS as the data plane speaks it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsState {
    /// Where; nowhere while it is empty.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Of several for one name the first one counts; an exact name comes before a wildcard.
    #[serde(default)]
    pub certificates: Vec<Arc<Certificate>>,
    /// For names without a certificate, and for clients that name none: they see a warning instead of a broken connection.
    #[serde(default)]
    pub fallback: Option<Arc<Certificate>>,
    /// What certificate authorities are asking for.
    #[serde(default)]
    pub challenges: Vec<Challenge>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The names it is used for. A wildcard stands for one label (RFC 9525, section 6.3).
    pub names: Vec<HostPattern>,
    /// The certificate and those that lead to its root, as PEM (RFC 7468), its own first.
    pub chain: String,
    /// Its private key.
    pub key: KeyPem,
}

/// A private key as PEM (RFC 7468). Never shown: its debug form says only that it is there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyPem(Arc<str>);

/// What a certificate authority wants to see before it issues a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Challenge {
    /// A text at a path of plain HTTP (RFC 8555, section 8.3).
    Http01 {
        /// The last segment of the path.
        token: String,
        /// The text.
        answer: String,
    },
    /// A certificate of a special kind (RFC 8737).
    TlsAlpn01 {
        /// The certificate, of one name.
        certificate: Arc<Certificate>,
    },
}

/// TLS of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTls {
    /// Whether requests without TLS are led to the same address with it.
    #[serde(default)]
    pub redirect: bool,
    /// For how long browsers ask for nothing else (RFC 6797).
    #[serde(default)]
    pub hsts: Option<Hsts>,
    /// Only clients with a certificate of these authorities are let in: their certificates as PEM.
    #[serde(default)]
    pub client_ca: Option<String>,
}

/// The Strict-Transport-Security field (RFC 6797, section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    /// How long a browser remembers it.
    pub max_age: Duration,
    /// Whether names below are meant as well.
    #[serde(default)]
    pub include_subdomains: bool,
    /// Whether it may go into the lists that browsers come with.
    #[serde(default)]
    pub preload: bool,
}

impl ServiceTls {
    /// Whether nothing of it was asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl TlsState {
    /// Whether there is nothing of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The certificate for a name in lower case: an exact one, else a wildcard for its first label.
    #[must_use]
    pub fn certificate(&self, name: &str) -> Option<&Arc<Certificate>> {
        let of = |wanted: &str| {
            let named = |certificate: &&Arc<Certificate>| {
                certificate.names.iter().any(|pattern| pattern.as_str() == wanted)
            };
            self.certificates.iter().find(named)
        };
        of(name).or_else(|| of(&format!("*.{}", name.split_once('.')?.1)))
    }
}

impl KeyPem {
    /// A key as it stands in a file.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever signs with it or keeps it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPem(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<Certificate> {
        let names = vec![HostPattern::pattern(name).unwrap()];
        Arc::new(Certificate { names, chain: String::new(), key: KeyPem::new("secret") })
    }

    #[test]
    fn an_exact_name_comes_before_a_wildcard_and_that_stands_for_one_label() {
        let tls = TlsState {
            certificates: vec![named("*.example.com"), named("a.example.com")],
            ..TlsState::default()
        };
        let found = |name| tls.certificate(name).map(|found| found.names[0].as_str());
        assert_eq!(found("a.example.com"), Some("a.example.com"));
        assert_eq!(found("b.example.com"), Some("*.example.com"));
        assert_eq!((found("a.b.example.com"), found("example.com")), (None, None));
    }

    #[test]
    fn a_key_is_never_shown() {
        assert!(!format!("{:?}", named("a.test")).contains("secret"));
    }
}
