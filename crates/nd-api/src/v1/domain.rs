//! Domains that lead to apps.

use nd_types::{AppName, HostPattern};
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
