//! Certificates.

use std::fmt;

use nd_types::{AppName, HostPattern, KeyPem, Timestamp};
use serde::{Deserialize, Serialize};

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertState {
    /// It serves.
    Valid,
    /// It serves, and its time to be renewed has come.
    Due,
    /// Its time is over.
    Expired,
    /// There is none, and it is being ordered.
    Ordering,
    /// There is none: the last order failed.
    Failed,
    /// There is none yet.
    Missing,
}

impl fmt::Display for CertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Due => "due",
            Self::Expired => "expired",
            Self::Ordering => "ordering",
            Self::Failed => "failed",
            Self::Missing => "missing",
        })
    }
}

/// A certificate that is kept, or wanted, or both. Its key is in no view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertView {
    /// What it is known by: the first of its names.
    pub name: String,
    /// How it stands.
    pub state: CertState,
    /// Everything that it is for.
    pub names: Vec<HostPattern>,
    /// The app that wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// Who issued it or is to; absent where somebody brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedCertView>,
    /// When it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalView>,
    /// Whether it is being ordered at this moment.
    pub ordering: bool,
    /// Why the last order failed, while it was the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the next order is placed after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Orders, the latest one last; left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<CertOrderView>,
}

/// The certificate itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedCertView {
    /// Its serial number in lower-case hexadecimal digits, two a byte.
    pub serial: String,
    /// Who signed it.
    pub signed_by: String,
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid up to and including.
    pub not_after: Timestamp,
}

/// When a certificate is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalView {
    /// From when on.
    pub due: Timestamp,
    /// Where the time comes from.
    pub why: String,
}

/// One order and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertOrderView {
    /// When it ended.
    pub at: Timestamp,
    /// Of whom the certificate was ordered.
    pub issuer: String,
    /// The serial number of what was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Why nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The root of an authority that clients must be told to trust. It has no key: that stays with the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootView {
    /// The authority, as in `ssl.provider`.
    pub issuer: String,
    /// What the root calls itself.
    pub name: String,
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Valid up to and including.
    pub not_after: Timestamp,
    /// The certificate as PEM (RFC 7468).
    pub pem: String,
}

/// The body of `POST /api/v1/certs`: a certificate that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertImportBody {
    /// The certificate and those that lead to its root, as PEM (RFC 7468), its own first.
    pub chain: String,
    /// Its private key as PEM.
    pub key: KeyPem,
}

/// The body of `POST /api/v1/certs/{name}/revoke`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertRevokeBody {
    /// Why; no reason is given where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RevocationReason>,
}

/// Why a certificate is revoked (RFC 5280, section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Somebody else has the key.
    KeyCompromise,
    /// Another certificate took its place.
    Superseded,
    /// The names are not served any more.
    CessationOfOperation,
}

/// A certificate with its key, for whoever asks on the unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertExport {
    /// The certificate and those that lead to its root, as PEM (RFC 7468), its own first.
    pub chain: String,
    /// Its private key as PEM.
    pub key: KeyPem,
}
