//! Domains that somebody gave an app or took from it, beside what its releases declare.

use std::borrow::Cow;
use std::collections::BTreeSet;

use nd_types::{HostPattern, PathPrefix, ReleaseId, RouteOptions};
use serde::{Deserialize, Serialize};

use crate::spec::{AppSpec, RouteSpec};

/// What was said about the domains of an app since its releases were made. It belongs to the app: another release serves the
/// added ones as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainsRecord {
    /// Lead to the app, whatever its releases declare.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<HostPattern>,
    /// Lead to it no more, although a release declares them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<RemovedDomain>,
}

/// A host that one release declares and that was taken away all the same. Another release that declares it brings it back:
/// whoever deploys has said what is wanted later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RemovedDomain {
    /// The release.
    pub release: ReleaseId,
    /// The host, with all paths under it.
    pub host: HostPattern,
}

impl DomainsRecord {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// The routes that lead to the app while this release serves, those that it declares first. An app that has its host
    /// ports itself has none but its own.
    #[must_use]
    pub fn routes(&self, release: Option<&ReleaseId>, spec: &AppSpec) -> Vec<RouteSpec> {
        let is_removed = |host: &HostPattern| {
            self.removed.iter().any(|gone| Some(&gone.release) == release && gone.host == *host)
        };
        let mut routes: Vec<RouteSpec> =
            spec.routes.iter().filter(|route| !is_removed(&route.host)).cloned().collect();
        for host in self.added.iter().filter(|_| !spec.direct) {
            if !declares(&routes, host) {
                let (path, options) = (PathPrefix::root(), RouteOptions::default());
                routes.push(RouteSpec { host: host.clone(), path, options });
            }
        }
        routes
    }

    /// The spec of a release with the routes that lead to it.
    #[must_use]
    pub fn applied<'s>(&self, release: &ReleaseId, spec: &'s AppSpec) -> Cow<'s, AppSpec> {
        if self.is_empty() {
            return Cow::Borrowed(spec);
        }
        Cow::Owned(AppSpec { routes: self.routes(Some(release), spec), ..spec.clone() })
    }
}

/// Whether everything under the host has a route.
pub(crate) fn declares(routes: &[RouteSpec], host: &HostPattern) -> bool {
    routes.iter().any(|route| route.host == *host && route.path == PathPrefix::root())
}
