//! What the data plane serves: one immutable, numbered state, replaced whole.

mod auth;
mod compression;
mod concurrency;
mod fields;
mod gate;
mod host;
mod network;
mod pages;
mod path;
mod rate;
mod redirect;
mod route;
mod rules;
mod split;
mod tls;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Generation, ReleaseId, UnitId};
use crate::name::AppName;

pub use auth::{BasicAuth, BasicUser, InvalidHash, PasswordHash};
pub use compression::{Compression, ContentCoding, UnknownCoding};
pub use concurrency::Concurrency;
pub use fields::{FieldName, FieldValue, InvalidField};
pub use gate::Gate;
pub use host::{HostPattern, InvalidHost};
pub use network::{InvalidNetwork, Network};
pub use pages::{ErrorPages, InvalidPages};
pub use path::PathPrefix;
pub use rate::{InvalidRate, LimitedBy, Rate, RateLimit, RateUnit};
pub use redirect::{InvalidRedirect, Redirect, RedirectCode};
pub use route::{Route, RouteOptions};
pub use rules::{AccessRules, HeaderRules, TrafficRules};
pub use split::Split;
pub use tls::{Certificate, Challenge, Hsts, KeyPem, ServiceTls, TlsState};

/// Everything the data plane needs to answer requests, and nothing else.
///
/// A state is never edited: the control plane builds the next one and the data plane swaps it in whole, so a request
/// sees either the old table or the new one, never a mixture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState {
    /// The version of this state.
    pub generation: Generation,
    /// One entry per app that has a port.
    pub services: Vec<Service>,
    /// Which host and path lead to which service. A route always names a service of this state.
    pub routes: Vec<Route>,
    /// Listeners whose only route is one app.
    pub host_ports: Vec<HostPort>,
    /// Whose routes count for a host that nobody serves; set by the data plane, from its own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_host: Option<HostPattern>,
    /// Where TLS is spoken, and with which certificates.
    #[serde(default, skip_serializing_if = "TlsState::is_empty")]
    pub tls: Arc<TlsState>,
}

/// One app as the data plane sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The app.
    pub app: AppName,
    /// The release that serves.
    pub release: ReleaseId,
    /// Units that may receive requests now. May be empty while `availability` is `Serving`: requests are then held.
    pub backends: Vec<Backend>,
    /// Whether requests are served, held or refused.
    pub availability: Availability,
    /// Limits and timeouts of this app's requests.
    pub limits: ServiceLimits,
    /// What else is done with its requests and answers.
    #[serde(default, skip_serializing_if = "TrafficRules::is_empty")]
    pub rules: Arc<TrafficRules>,
    /// What the user has put in front of it.
    #[serde(default, skip_serializing_if = "Gate::is_open")]
    pub gate: Gate,
    /// The release that some of the clients get instead, while one is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// How its visitors are brought to TLS, and whom it lets in.
    #[serde(default, skip_serializing_if = "ServiceTls::is_default")]
    pub tls: Arc<ServiceTls>,
}

/// What a request to a service may expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Availability {
    /// Requests go to a backend; while there is none they are held, up to [`ServiceLimits::hold`].
    Serving,
    /// Nothing runs, because nobody has asked for it: requests are held as long, and whoever can wake it is told.
    Sleeping,
    /// The user stopped the app: 503 at once.
    Stopped,
    /// No unit can be kept running: 503 at once.
    Failed {
        /// Why, in words that may be shown to a visitor (no command lines, no addresses).
        reason: String,
    },
}

/// One unit that may receive requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The unit behind the address.
    pub unit: UnitId,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started, where that is known: one life of the unit is not another.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// What it speaks.
    #[serde(default)]
    pub protocol: AppProtocol,
}

/// What an app speaks on its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppProtocol {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http,
    /// HTTP/2 in cleartext with prior knowledge (RFC 9113, section 3.3), as gRPC has it.
    H2c,
}

/// Limits and timeouts of one app's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLimits {
    /// Largest request body in bytes; more is answered 413.
    pub body_bytes: u64,
    /// How long the app may take until its response head arrives; then 504.
    pub response_header_timeout: Duration,
    /// How long a request may wait while no backend is ready; then 503.
    pub hold: Duration,
    /// How many requests may wait at once; further ones get 503.
    pub hold_requests: u32,
    /// How often clients may ask; all that match a path count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// Whether a cookie keeps each client with its instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sticky: bool,
    /// How many requests may be with its instances at once; any number where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// How many bytes of request bodies, and how many of answers, may move in a second; upgraded connections apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<NonZeroU64>,
}

impl ServiceLimits {
    /// How long a request waits at most for instances that have died: a restart that takes longer is felt anyway, and nobody
    /// may be left to start them.
    pub const CRASH_HOLD: Duration = Duration::from_secs(10);
}

impl Default for ServiceLimits {
    /// 100 MB bodies, 60 s to the response head, held for at most 30 s and 1,000 requests at a time.
    fn default() -> Self {
        Self {
            body_bytes: 100 * 1024 * 1024,
            response_header_timeout: Duration::from_secs(60),
            hold: Duration::from_secs(30),
            hold_requests: 1000,
            rate_limits: Vec::new(),
            sticky: false,
            concurrency: None,
            bandwidth: None,
        }
    }
}

/// A listener that belongs to one app (`ports: ["3000:3000"]`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// Where the data plane listens.
    pub bind: SocketAddr,
    /// The app that answers.
    pub app: AppName,
    /// What is spoken on it.
    pub protocol: HostPortProtocol,
}

/// What a host port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPortProtocol {
    /// HTTP requests, balanced one by one.
    Http,
    /// Bytes, balanced by connection.
    Tcp,
}
