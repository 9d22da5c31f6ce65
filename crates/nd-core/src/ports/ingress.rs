//! What brings requests to units.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_types::{
    AppName, AppProtocol, EdgeState, Generation, HostPortProtocol, IngressKind, StrategyName, UnitId,
};

use super::error::PortResult;
use super::traffic::AppTraffic;
use crate::spec::AppSpec;

/// Brings requests to units: the embedded proxy or a server beside us.
#[async_trait]
pub trait Ingress: Send + Sync + 'static {
    /// What it is called and what it can do.
    fn caps(&self) -> IngressCaps;

    /// The address visitors reach it at, for URLs.
    fn http_addr(&self) -> SocketAddr;

    /// Whether it could take a state now.
    ///
    /// # Errors
    /// `Unavailable` says what is missing and what to do about it.
    async fn check(&self) -> PortResult<()>;

    /// Takes the state and returns when it *serves*: no request that arrives afterwards sees an older one.
    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied>;

    /// The state that serves now, also if a daemon before this one applied it; where the ingress knows no more than its
    /// generation, that alone.
    async fn serving(&self) -> PortResult<Arc<EdgeState>>;

    /// Waits until no request is in flight on these units, which the serving state does not name any more; what is
    /// left at the deadline is cut, at the latest when the units end. An ingress with [`EdgeFeature::Cut`] closes
    /// WebSockets with 1012 (RFC 6455, section 7.4.1), spread over the time.
    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport>;

    /// The apps of the serving state that sleep and that somebody waits for: as soon as they are others than the `known`
    /// ones, and after a while in any case. A name stays until a state serves in which the app does not sleep.
    async fn wanted(&self, known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>>;

    /// What has become of the requests of an app of the serving state.
    async fn traffic(&self, app: &AppName) -> PortResult<AppTraffic>;
}

/// What an ingress is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngressCaps {
    /// Its name in `proxy_type`.
    pub kind: IngressKind,
    /// What it can do beside bringing requests to units by host and path.
    pub features: &'static [EdgeFeature],
    /// How it speaks TLS.
    pub tls: EdgeTls,
}

/// How an ingress speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeTls {
    /// Where the state says, with the certificates of the state. It answers every challenge of a state.
    AsTold,
    /// At an address of its own, with those certificates of the state that a route has a use for, and not at all without one.
    /// Of challenges it answers those of plain HTTP.
    At(SocketAddr),
    /// At an address of its own, with certificates that it gets by itself.
    ByItself(SocketAddr),
    /// Not at all.
    Never,
}

impl EdgeTls {
    /// Whether it shows the certificates of the state.
    #[must_use]
    pub fn shows_ours(self) -> bool {
        matches!(self, Self::AsTold | Self::At(_))
    }
}

impl IngressCaps {
    /// Whether it can do this.
    #[must_use]
    pub fn has(&self, feature: EdgeFeature) -> bool {
        self.features.contains(&feature)
    }
}

/// Something that not every ingress can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeFeature {
    /// Taking a state closes no connection of a client.
    KeepConnections,
    /// Requests wait while no unit is there: in a pause, for an app that sleeps, between two versions.
    Hold,
    /// It tells what became of the requests of each release.
    Figures,
    /// What is left at the end of a drain is cut by the ingress itself, WebSockets with a closing handshake.
    Cut,
    /// Some of the clients get another release.
    Split,
    /// A cookie keeps each client with its instance.
    Sticky,
    /// Clients may ask only so often.
    RateLimits,
    /// So many requests at once.
    Concurrency,
    /// So many bytes in a second.
    Bandwidth,
    /// Some addresses may ask and others may not.
    Access,
    /// Names and passwords.
    BasicAuth,
    /// Paths that have moved.
    Redirects,
    /// Fields are added to answers and taken from them.
    Headers,
    /// Other codings than the usual ones.
    Compression,
    /// An app's own pages for what is answered in its place.
    ErrorPages,
    /// Apps that speak HTTP/2 in cleartext.
    H2c,
    /// Host ports that carry bytes, not requests.
    TcpPorts,
    /// Only clients with a certificate are let in.
    ClientCertificates,
}

impl EdgeFeature {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::KeepConnections,
        Self::Hold,
        Self::Figures,
        Self::Cut,
        Self::Split,
        Self::Sticky,
        Self::RateLimits,
        Self::Concurrency,
        Self::Bandwidth,
        Self::Access,
        Self::BasicAuth,
        Self::Redirects,
        Self::Headers,
        Self::Compression,
        Self::ErrorPages,
        Self::H2c,
        Self::TcpPorts,
        Self::ClientCertificates,
    ];

    /// What of this a spec cannot do without, with the words by which users ask for it.
    pub fn of(spec: &AppSpec) -> impl Iterator<Item = (Self, &'static str)> {
        let (limits, rules) = (&spec.limits, &spec.rules);
        let speaks_tcp = spec.host_ports.iter().any(|port| port.protocol == HostPortProtocol::Tcp);
        let asked = [
            (spec.sleep_after.is_some(), Self::Hold, "proxy.sleep_after"),
            (spec.strategy == Some(StrategyName::Canary), Self::Split, "strategy: canary"),
            (limits.sticky, Self::Sticky, "proxy.sticky"),
            (!limits.rate_limits.is_empty(), Self::RateLimits, "proxy.rate_limit"),
            (limits.concurrency.is_some(), Self::Concurrency, "proxy.concurrency"),
            (limits.bandwidth.is_some(), Self::Bandwidth, "proxy.bandwidth"),
            (!rules.access.is_empty(), Self::Access, "proxy.access"),
            (!rules.basic_auth.is_empty(), Self::BasicAuth, "proxy.basic_auth"),
            (!rules.redirects.is_empty(), Self::Redirects, "proxy.redirects"),
            (!rules.headers.is_empty(), Self::Headers, "proxy.headers"),
            (!rules.compression.is_default(), Self::Compression, "proxy.compression"),
            (!rules.error_pages.is_empty(), Self::ErrorPages, "proxy.error_pages"),
            (spec.protocol == AppProtocol::H2c, Self::H2c, "protocol: h2c"),
            (speaks_tcp && !spec.direct, Self::TcpPorts, "ports: …/tcp"),
            (spec.tls.service.client_ca.is_some(), Self::ClientCertificates, "ssl.client_ca"),
        ];
        asked.into_iter().filter(|(is_asked, ..)| *is_asked).map(|(_, feature, words)| (feature, words))
    }
}

/// A state that serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Its generation.
    pub generation: Generation,
    /// Listeners that could not be opened; everything else serves.
    pub faults: Vec<BindFault>,
}

/// A listener that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFault {
    /// The address.
    pub bind: SocketAddr,
    /// The app whose host port it is; none where TLS is spoken, for all apps.
    pub app: Option<AppName>,
    /// Why not, naming who holds it where that is known.
    pub error: String,
}

/// What became of requests in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Requests that finished.
    pub finished: u64,
    /// Requests that were cut at the deadline.
    pub cut: u64,
    /// WebSockets that ended with a closing handshake.
    pub websockets_closed: u64,
    /// WebSockets that were cut at the deadline.
    pub websockets_cut: u64,
}
