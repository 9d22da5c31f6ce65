//! What an app wants of TLS, as it is stored.

use std::path::PathBuf;
use std::sync::Arc;

use nd_types::{HostPattern, ServiceTls};
use serde::{Deserialize, Serialize};

use crate::ports::CertFiles;
use crate::spec::TlsSpec;

/// [`TlsSpec`], stored; what is not there is as by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TlsV1 {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    domains: Vec<HostPattern>,
    wildcard: bool,
    auto_renew: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<FilesV1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "ServiceTls::is_default")]
    service: Arc<ServiceTls>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FilesV1 {
    chain: PathBuf,
    key: PathBuf,
}

impl TlsV1 {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TlsV1 {
    fn default() -> Self {
        (&TlsSpec::default()).into()
    }
}

impl From<&TlsSpec> for TlsV1 {
    fn from(spec: &TlsSpec) -> Self {
        let files = |files: &CertFiles| FilesV1 { chain: files.chain.clone(), key: files.key.clone() };
        Self {
            enabled: spec.enabled,
            issuer: spec.issuer.as_ref().map(ToString::to_string),
            domains: spec.domains.clone(),
            wildcard: spec.wildcard,
            auto_renew: spec.auto_renew,
            files: spec.files.as_ref().map(files),
            dns_provider: spec.dns_provider.as_ref().map(ToString::to_string),
            email: spec.email.clone(),
            service: Arc::clone(&spec.service),
        }
    }
}

impl From<&TlsV1> for TlsSpec {
    fn from(stored: &TlsV1) -> Self {
        let files = |files: &FilesV1| CertFiles { chain: files.chain.clone(), key: files.key.clone() };
        Self {
            enabled: stored.enabled,
            issuer: stored.issuer.as_ref().and_then(|issuer| issuer.parse().ok()),
            domains: stored.domains.clone(),
            wildcard: stored.wildcard,
            auto_renew: stored.auto_renew,
            files: stored.files.as_ref().map(files),
            dns_provider: stored.dns_provider.as_ref().and_then(|name| name.parse().ok()),
            email: stored.email.clone(),
            service: Arc::clone(&stored.service),
        }
    }
}
