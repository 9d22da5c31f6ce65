//! Handshakes that failed, by cause.

use std::collections::BTreeMap;
use std::io;

use rustls::{CertificateError, Error};

use super::Counter;

/// Why there was no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// What came is no handshake, or none that can be agreed on.
    Malformed,
    /// The client went away in the middle.
    Gone,
    /// It did not go on in time.
    TooSlow,
    /// No certificate is for the name it asked for.
    UnknownName,
    /// It did not like what it was shown, and said so.
    RefusedByClient,
    /// The client's own certificate has expired.
    ClientCertificateExpired,
    /// It is of an authority that the app does not know.
    ClientCertificateIssuer,
    /// Something else is wrong with it.
    ClientCertificate,
}

/// How often each cause was met.
#[derive(Debug, Default)]
pub(crate) struct HandshakeFailures([Counter; HandshakeFailure::ALL.len()]);

impl HandshakeFailure {
    const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Gone,
        Self::TooSlow,
        Self::UnknownName,
        Self::RefusedByClient,
        Self::ClientCertificateExpired,
        Self::ClientCertificateIssuer,
        Self::ClientCertificate,
    ];

    /// The cause of an error.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(error)) => match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::ClientCertificateExpired
                }
                // The second one where an authority of the same name has signed it.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::ClientCertificateIssuer
                }
                _ => Self::ClientCertificate,
            },
            Some(Error::AlertReceived(_)) => Self::RefusedByClient,
            Some(_) => Self::Malformed,
            None => Self::Gone,
        }
    }

    /// What it is called.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Gone => "gone",
            Self::TooSlow => "too_slow",
            Self::UnknownName => "unknown_name",
            Self::RefusedByClient => "refused_by_client",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateIssuer => "client_certificate_issuer",
            Self::ClientCertificate => "client_certificate",
        }
    }
}

impl HandshakeFailures {
    pub(crate) fn count(&self, failure: HandshakeFailure) {
        if let Some(counter) = self.0.get(failure as usize) {
            counter.add(1);
        }
    }

    /// Adds these figures, by the names of their causes.
    pub(crate) fn add_to(&self, sum: &mut BTreeMap<String, u64>) {
        for (failure, counter) in HandshakeFailure::ALL.iter().zip(&self.0) {
            *sum.entry(failure.as_str().to_owned()).or_default() += counter.get();
        }
    }
}
