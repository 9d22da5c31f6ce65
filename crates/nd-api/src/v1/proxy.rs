//! What the proxy serves, and what it would do with a request.

use std::net::{IpAddr, SocketAddr};

use nd_types::{AppName, Redirect};
use serde::{Deserialize, Serialize};

/// The table of the proxy, as it serves (`GET /proxy`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyView {
    /// Where it listens.
    pub http: SocketAddr,
    /// The number of the table.
    pub generation: u64,
    /// Its routes, in the order in which they are looked at for one host.
    pub routes: Vec<RouteView>,
    /// The apps behind them.
    pub apps: Vec<ProxiedAppView>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// A host name, or a pattern of them.
    pub host: String,
    /// The path prefix.
    pub path: String,
    /// The app that answers.
    pub app: AppName,
    /// Whether the app gets the path without the route's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip: bool,
    /// Another port of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How long the app may be silent, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The host that visitors are sent on to instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

/// One app as the proxy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxiedAppView {
    /// The app.
    pub app: AppName,
    /// The release that serves.
    pub release: String,
    /// `serving`, `waiting` (no instance is ready), `stopped`, `failed`, `paused` or `maintenance`.
    pub state: String,
    /// The instances that get requests.
    pub backends: Vec<BackendView>,
    /// Listeners whose only route is this app.
    pub host_ports: Vec<SocketAddr>,
    /// The largest request body, in bytes.
    pub body_limit: u64,
    /// How long it may take until its answer begins, in milliseconds.
    pub response_timeout_ms: u64,
    /// How long a request waits for an instance, in milliseconds.
    pub hold_ms: u64,
    /// How many may wait at once.
    pub hold_requests: u32,
    /// Paths that have moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
}

/// One instance that gets requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendView {
    /// The instance.
    pub instance: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What to look up (`GET /proxy/test`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyTestQuery {
    /// The address: `https://app.example.com/path?query`, or without its scheme.
    pub url: String,
    /// Who asks, for the rules of access; left out: they are only named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
}

/// What would become of a request; nothing is sent to the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyTestView {
    /// The host that was looked for.
    pub host: String,
    /// The path that was looked for.
    pub path: String,
    /// What the proxy would do: `app`, `wait`, or the status that it would answer itself.
    pub outcome: String,
    /// Why, step by step.
    pub why: Vec<String>,
    /// The route that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteView>,
    /// The app behind the route, with its limits and instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<ProxiedAppView>,
}
