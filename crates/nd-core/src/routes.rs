//! What one app contributes to the edge.

use std::net::SocketAddr;
use std::sync::Arc;

use nd_types::{
    AppName, AppProtocol, Availability, Backend, Gate, HostPattern, HostPort, IngressKind, PathPrefix,
    ReleaseId, Route, RouteOptions, Service, Timestamp, UnitId,
};

use crate::spec::{AppSpec, TlsSpec};

/// The routes of one app: hosts and listeners that lead to it, and the units behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRoutes {
    /// The app as the data plane sees it.
    pub service: Service,
    /// Hosts and paths that lead to it.
    pub routes: Vec<Route>,
    /// Listeners that lead to it.
    pub host_ports: Vec<HostPort>,
    /// Units that count as serving, those without a port included.
    pub units: Vec<UnitId>,
    /// Which mix of two releases this is, where it is one of those that a deployment goes through.
    pub mix: u16,
    /// What brings the requests; what the daemon does so by itself where it is absent.
    pub ingress: Option<IngressKind>,
    /// What it wants of certificates.
    pub tls: Arc<TlsSpec>,
}

impl AppRoutes {
    /// The routes of `app` as `spec` declares them; none for one that has its ports itself. `<app>.localhost` leads to
    /// every other one (RFC 6761, section 6.3: such names resolve to the loopback address).
    #[must_use]
    pub fn new(app: &AppName, release: &ReleaseId, spec: &AppSpec, availability: Availability) -> Self {
        let own = local_host(app).filter(|_| !spec.direct).into_iter().map(|host| Route {
            host,
            path: PathPrefix::root(),
            app: app.clone(),
            options: RouteOptions::default(),
        });
        let declared = spec.routes.iter().map(|route| Route {
            host: route.host.clone(),
            path: route.path.clone(),
            app: app.clone(),
            options: route.options.clone(),
        });
        // What is declared for the same host and path counts.
        let routes = declared.chain(own).collect();
        let host_ports = spec
            .host_ports
            .iter()
            .filter(|_| !spec.direct)
            .map(|port| HostPort { bind: port.bind, app: app.clone(), protocol: port.protocol })
            .collect();
        let service = Service {
            app: app.clone(),
            release: release.clone(),
            backends: Vec::new(),
            availability,
            limits: spec.limits.clone(),
            rules: Arc::clone(&spec.rules),
            gate: Gate::Open,
            split: None,
            tls: Arc::clone(&spec.tls.service),
        };
        Self {
            service,
            routes,
            host_ports,
            units: Vec::new(),
            mix: 0,
            ingress: None,
            tls: Arc::clone(&spec.tls),
        }
    }

    /// Adds a unit that serves since `started` and speaks `protocol`, at its address where it has one.
    pub fn add(
        &mut self,
        unit: &UnitId,
        address: Option<SocketAddr>,
        started: Option<Timestamp>,
        protocol: AppProtocol,
    ) {
        self.units.push(unit.clone());
        if let Some(address) = address {
            self.service.backends.push(Backend { unit: unit.clone(), address, started, protocol });
        }
    }

    /// Whether `unit` counts as serving.
    #[must_use]
    pub fn names(&self, unit: &UnitId) -> bool {
        self.units.contains(unit)
    }
}

/// The host name every app has without asking for one.
#[must_use]
pub fn local_host(app: &AppName) -> Option<HostPattern> {
    HostPattern::new(&format!("{app}.localhost")).ok()
}
