//! Why a certificate cannot be used.

use nd_core::ports::{PortError, PortErrorKind};
use nd_types::Timestamp;

/// What is wrong with a certificate or its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// The text holds no certificate.
    #[error("there is no certificate in it: no block begins with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("certificate {place} of the chain cannot be read: {why}")]
    Damaged {
        /// Which one, counted from 1.
        place: usize,
        /// What the parser says.
        why: String,
    },
    /// The text holds no private key.
    #[error("there is no private key in it: no block begins with `-----BEGIN PRIVATE KEY-----` or the like")]
    NoKey,
    /// The private key is protected by a password.
    #[error("the private key is encrypted")]
    EncryptedKey,
    /// The private key cannot be used.
    #[error("the private key cannot be used: {0}")]
    BadKey(String),
    /// The key belongs to another certificate.
    #[error("the private key is not that of the certificate for {0}")]
    KeyMismatch(String),
    /// The certificate is not one for servers with names.
    #[error("the certificate is for no host name (its subject alternative names are empty)")]
    NoNames,
    /// A wanted name is not in it.
    #[error("the certificate is for {found}, not for {wanted}")]
    WrongNames {
        /// The name that is missing.
        wanted: String,
        /// Those that it has.
        found: String,
    },
    /// The first certificate is that of an authority.
    #[error("the first certificate of the chain is that of an authority ({0}), not one of a server")]
    AuthorityFirst(String),
    /// A certificate is not signed by the one that follows.
    #[error(
        "certificate {place} of the chain ({issuer}) has not signed the one before it, whose issuer is {wanted}"
    )]
    ChainOrder {
        /// Which one, counted from 1.
        place: usize,
        /// Whose it is.
        issuer: String,
        /// Whose it should be.
        wanted: String,
    },
    /// Its time is over.
    #[error("the certificate expired at {at}, and this machine's clock shows {now}")]
    Expired {
        /// When.
        at: Timestamp,
        /// What the clock shows.
        now: Timestamp,
    },
    /// Its time has not come.
    #[error("the certificate is valid from {from} on, and this machine's clock shows {now}")]
    NotYetValid {
        /// From when.
        from: Timestamp,
        /// What the clock shows.
        now: Timestamp,
    },
}

impl CertError {
    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::NoCertificate | Self::Damaged { .. } => {
                "give the certificate as PEM, followed by its intermediate certificates (fullchain.pem)"
            }
            Self::NoKey | Self::BadKey(_) => {
                "give an unencrypted RSA or ECDSA key (P-256, P-384) or an Ed25519 key as PEM"
            }
            Self::EncryptedKey => "take the password off: `openssl pkey -in key.pem -out plain.pem`",
            Self::KeyMismatch(_) => "give the key that the certificate was requested with",
            Self::NoNames | Self::WrongNames { .. } => {
                "get a certificate for all the names, or take the others from the app's domains"
            }
            Self::AuthorityFirst(_) | Self::ChainOrder { .. } => {
                "put the server's certificate first, then each one's issuer, as in fullchain.pem"
            }
            Self::Expired { .. } => {
                "renew it, or set the clock if that is wrong (`timedatectl set-ntp true`)"
            }
            Self::NotYetValid { .. } => {
                "set the clock (`timedatectl set-ntp true`), or wait until the certificate is valid"
            }
        }
    }

    /// The error as a port tells it, about what `context` names.
    pub(crate) fn at_port(self, context: &str) -> PortError {
        PortError::new(PortErrorKind::Invalid, context).with_fix(self.fix()).with_source(self)
    }
}
