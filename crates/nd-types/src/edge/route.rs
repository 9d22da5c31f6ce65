//! The lines of the routing table.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EdgeState, HostPattern, PathPrefix};
use crate::name::AppName;

/// One line of the routing table: an exact host wins, then the longest pattern, and of the host's routes the longest path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The host that must match.
    pub host: HostPattern,
    /// The path that must match.
    pub path: PathPrefix,
    /// The service that answers.
    pub app: AppName,
    /// What happens on the way.
    #[serde(default, skip_serializing_if = "RouteOptions::is_empty")]
    pub options: RouteOptions,
}

/// What happens to a request on its way through a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteOptions {
    /// The app gets the path without the route's; `X-Forwarded-Prefix` tells it what is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strip: bool,
    /// Another port of the app's units, where each has an address of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    /// How long the app may be silent before its answer, and within it; instead of
    /// [`ServiceLimits::response_header_timeout`](super::ServiceLimits::response_header_timeout) and of the data plane's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Nobody answers here but a redirect to the same path of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<HostPattern>,
}

impl RouteOptions {
    /// Whether nothing happens on the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl EdgeState {
    /// The route that a request takes: the definition of what the table of the data plane finds faster. `host` is in
    /// lower case, without port and final dot. The first of equal routes counts, and none whose service is missing.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<&Route> {
        let served = |route: &&Route| self.services.iter().any(|service| service.app == route.app);
        let is_known = self.routes.iter().filter(served).any(|route| route.host.matches(host));
        let host = self.default_host.as_ref().filter(|_| !is_known).map_or(host, HostPattern::as_str);
        let matching = self.routes.iter().filter(served).filter(|route| route.host.matches(host));
        let rank = |route: &Route| (route.host.parent().is_none(), route.host.as_str().len());
        let best = matching.clone().map(rank).max()?;
        let of_host = matching.filter(|route| rank(route) == best && route.path.matches(path));
        of_host.reduce(
            |best, route| {
                if route.path.as_str().len() > best.path.as_str().len() { route } else { best }
            },
        )
    }
}
