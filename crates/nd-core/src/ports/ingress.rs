//! What brings requests to units.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_types::{AppName, EdgeState, Generation, UnitId};

use super::error::PortResult;
use super::traffic::AppTraffic;

/// Brings requests to units: the embedded proxy or a server beside us.
#[async_trait]
pub trait Ingress: Send + Sync + 'static {
    /// Its name in `proxy_type`.
    fn kind(&self) -> &'static str;

    /// The address visitors reach it at, for URLs.
    fn http_addr(&self) -> SocketAddr;

    /// Takes the state and returns when it *serves*: no request that arrives afterwards sees an older one.
    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied>;

    /// The state that serves now, also if a daemon before this one applied it; where the ingress knows no more than its
    /// generation, that alone.
    async fn serving(&self) -> PortResult<Arc<EdgeState>>;

    /// Waits until no request is in flight on these units, which the serving state does not name any more; what is
    /// left at the deadline is cut. WebSockets are closed with 1012 (RFC 6455, section 7.4.1), spread over the time.
    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport>;

    /// The apps of the serving state that sleep and that somebody waits for: as soon as they are others than the `known`
    /// ones, and after a while in any case. A name stays until a state serves in which the app does not sleep.
    async fn wanted(&self, known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>>;

    /// What has become of the requests of an app of the serving state.
    async fn traffic(&self, app: &AppName) -> PortResult<AppTraffic>;
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
