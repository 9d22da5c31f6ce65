//! Domains that lead to apps.

use std::net::{IpAddr, SocketAddr};

use nd_types::{AppName, HostPattern, Timestamp};
use serde::{Deserialize, Serialize};

use super::CertState;

/// A domain: where it leads, and its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// The host name, or the pattern for many.
    pub domain: HostPattern,
    /// The path under it.
    pub path: String,
    /// Where it leads.
    pub app: AppName,
    /// Whether it was added to the app beside what its release declares, and so stays over deployments.
    #[serde(default)]
    pub added: bool,
    /// Its address; none of a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The certificate that visitors are shown, or that is on its way; none where nobody wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// How that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CertState>,
    /// Who is to issue one; nobody where none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// The body of `POST /api/v1/domains`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainsBody {
    /// The app that they are to lead to.
    pub app: AppName,
    /// The domains; one that leads to the app already may be among them.
    pub domains: Vec<HostPattern>,
    /// How long the answer may wait until they are served, in milliseconds; not at all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Parameters of `DELETE /api/v1/domains`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainsQuery {
    /// The app.
    pub app: AppName,
    /// The domains that are to lead to it no more, with commas between them.
    pub domains: String,
    /// How long the answer may wait until they are served no more, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// Parameters of `GET /api/v1/domains`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainListQuery {
    /// Those of this app alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
}

/// Parameters of `GET /api/v1/domains/check`: every domain of every app without any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainCheckQuery {
    /// Those of this app alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// This one alone, which need not lead to any app yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<HostPattern>,
}

/// How a domain stands, as its visitors find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainVerdict {
    /// They come, and see what they should.
    Ok,
    /// They do, or may, and somebody should look at something.
    Warn,
    /// They do not.
    Fail,
}

/// What a look at a domain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainCheckView {
    /// The domain.
    pub domain: HostPattern,
    /// The app that it leads to; none where nobody has it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// How it stands.
    pub verdict: DomainVerdict,
    /// Why, in one line.
    pub why: String,
    /// What helps, such as the record to create.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
    /// Where the DNS leads.
    pub addresses: Vec<IpAddr>,
    /// What answers at ports 80 and 443 of these addresses.
    pub ports: Vec<PortCheckView>,
    /// Who is to issue its certificate; nobody where none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Until when the certificate is valid that is kept for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// So many whole days of that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// When it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
}

/// What answers at one port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCheckView {
    /// Where, as in `192.0.2.7:443`.
    pub at: SocketAddr,
    /// `ours`, `somebody` (it cannot be told who), `another` or `nobody`.
    pub answers: String,
    /// What another one answered, or why nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who signed the certificate that is shown there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// What became of a change of domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainsView {
    /// The app.
    pub app: AppName,
    /// Whether every thread of the proxy serves it so; false where nobody waited, or not long enough.
    pub settled: bool,
    /// Those that were asked about and lead to the app now.
    pub domains: Vec<DomainView>,
    /// Those that lead to it no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<HostPattern>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
