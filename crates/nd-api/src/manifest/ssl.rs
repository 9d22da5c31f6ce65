//! Certificates.

use std::time::Duration;

use nd_types::HostPattern;
use serde::{Deserialize, Serialize};

use super::duration;

/// Certificates of an app, and how its visitors come to use them (`ssl:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssl {
    /// Whether its hosts get certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// From whom: `letsencrypt`, `zerossl`, `internal`, `custom`, or another name that the daemon's settings give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether to ask the provider's half for trying things out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<bool>,
    /// Where the provider writes to when something is wrong with a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Who writes into the DNS to prove the names, by a name of the daemon's settings; then they are proven there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_provider: Option<String>,
    /// Names that get a certificate beside the hosts of its routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<HostPattern>,
    /// Whether each certificate is for all names one label below its own one as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wildcard: Option<bool>,
    /// Whether they are renewed before they expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_renew: Option<bool>,
    /// A certificate of one's own, a file of the server, with those that lead to its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its key, a file of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether plain HTTP leads to HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<bool>,
    /// What browsers are told about HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// Only clients with a certificate of these authorities are let in: a file of the project in `nextdeploy.yml`, their
    /// certificates as PEM in a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
}

/// Whether and for how long browsers ask for nothing but HTTPS (`ssl.hsts:`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// Whether they are told at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long they remember it; nothing makes them forget it at once.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub max_age: Option<Duration>,
    /// Whether names below are meant as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_subdomains: Option<bool>,
    /// Whether it may go into the lists that browsers come with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preload: Option<bool>,
}
