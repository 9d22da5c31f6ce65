//! How the certificate of a name stands.

use nd_types::{AppName, HostPattern, Timestamp};

use crate::ports::{IssuedCert, IssuerName, Renewal};
use crate::records::CertOrderRecord;

/// A certificate that is kept, or wanted, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertStatus {
    /// Its names; it is kept under the first one.
    pub names: Vec<HostPattern>,
    /// The app that wants it.
    pub app: Option<AppName>,
    /// Who issued it, or is to; nobody of ours where it was imported.
    pub issuer: Option<IssuerName>,
    /// What serves.
    pub cert: Option<IssuedCert>,
    /// When it is renewed.
    pub renewal: Option<Renewal>,
    /// Whether it is being ordered at this moment.
    pub is_ordered: bool,
    /// Why the last order failed, while it was the last one.
    pub error: Option<String>,
    /// When the next one is placed after a failure.
    pub retry_at: Option<Timestamp>,
    /// Orders, the latest one last.
    pub orders: Vec<CertOrderRecord>,
}
