//! What an app should be: the validated, immutable content of one release.
//!
//! An [`AppSpec`] is never serialized; [`records`](crate::records) holds its stored form. Whoever builds one (the API
//! server, an embedder) has already checked ranges and formats.

mod depends;
mod health;
mod mirror;
mod policy;
mod rollout;
mod schedule;
mod tls;
mod workload;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use nd_types::{
    AppProtocol, HostPattern, HostPortProtocol, PathPrefix, RouteOptions, RuntimeKind, ServiceLimits,
    StrategyName, TrafficRules,
};

pub use depends::{Condition, Dependency};
pub use health::{HttpProbe, ProbeKind, ReadinessSpec, StatusRange, Statuses};
pub use mirror::MirrorSpec;
pub use policy::{RestartPolicy, RestartSpec, StopSpec};
pub use rollout::{AbortRules, CanarySpec, RolloutSpec};
pub use schedule::{InvalidSchedule, Schedule};
pub use tls::TlsSpec;
pub use workload::{CommandSpec, ImageSpec, Resources, VolumeSource, VolumeSpec, Workload};

/// Everything one release of an app consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSpec {
    /// What runs.
    pub workload: Workload,
    /// Environment variables of every unit.
    pub env: BTreeMap<String, String>,
    /// The port the app listens on; found out at start when absent.
    pub port: Option<NonZeroU16>,
    /// What the app speaks on it.
    pub protocol: AppProtocol,
    /// Hosts and paths that lead to the app, beside `<app>.localhost`.
    pub routes: Vec<RouteSpec>,
    /// Listeners of the host that lead to the app.
    pub host_ports: Vec<HostPortSpec>,
    /// Whether the app has its host ports itself, without the proxy in front: then no route leads to it either.
    pub direct: bool,
    /// Directories that outlive a unit.
    pub volumes: Vec<VolumeSpec>,
    /// Limits of one unit.
    pub resources: Resources,
    /// When a unit counts as ready.
    pub readiness: ReadinessSpec,
    /// When a unit that ended is started again.
    pub restart: RestartSpec,
    /// How a unit is stopped.
    pub stop: StopSpec,
    /// The apps that come up before this one, and stop after it.
    pub depends_on: Vec<Dependency>,
    /// How this release takes over from the one before; chosen by volumes and ports when absent.
    pub strategy: Option<StrategyName>,
    /// How carefully it does.
    pub rollout: RolloutSpec,
    /// A further instance that stands by.
    pub mirror: Option<MirrorSpec>,
    /// How long requests in flight on an old release may take to finish.
    pub drain: Duration,
    /// Limits of requests through the proxy.
    pub limits: ServiceLimits,
    /// After which time without a request it is stopped until the next one.
    pub sleep_after: Option<Duration>,
    /// What else the proxy does with its requests and answers.
    pub rules: Arc<TrafficRules>,
    /// Its certificates, and how its visitors come to use them.
    pub tls: Arc<TlsSpec>,
    /// How many earlier releases stay available for a rollback.
    pub keep_releases: u16,
}

impl AppSpec {
    /// A spec that runs `workload` with the defaults of `defaults.md`.
    #[must_use]
    pub fn new(workload: Workload) -> Self {
        Self {
            workload,
            env: BTreeMap::new(),
            port: None,
            protocol: AppProtocol::default(),
            routes: Vec::new(),
            host_ports: Vec::new(),
            direct: false,
            volumes: Vec::new(),
            resources: Resources::default(),
            readiness: ReadinessSpec::default(),
            restart: RestartSpec::default(),
            stop: StopSpec::default(),
            depends_on: Vec::new(),
            strategy: None,
            rollout: RolloutSpec::default(),
            mirror: None,
            drain: Self::DRAIN,
            limits: ServiceLimits::default(),
            sleep_after: None,
            rules: Arc::default(),
            tls: Arc::default(),
            keep_releases: Self::KEEP_RELEASES,
        }
    }

    /// How long requests in flight may take to finish, as in kamal-proxy.
    pub const DRAIN: Duration = Duration::from_secs(30);

    /// Releases kept for a rollback, as in Kamal.
    pub const KEEP_RELEASES: u16 = 5;

    /// The ports of the host that the app has itself; only one unit at a time can have them.
    pub fn own_ports(&self) -> impl Iterator<Item = SocketAddr> {
        self.host_ports.iter().filter(|_| self.direct).map(|port| port.bind)
    }

    /// The runtime that runs the workload.
    #[must_use]
    pub fn runtime(&self) -> RuntimeKind {
        match self.workload {
            Workload::Image(_) => RuntimeKind::Docker,
            Workload::Command(_) => RuntimeKind::Process,
            Workload::External(_) => RuntimeKind::External,
        }
    }
}

/// One host and path that lead to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// The host name.
    pub host: HostPattern,
    /// The path under it.
    pub path: PathPrefix,
    /// What happens on the way.
    pub options: RouteOptions,
}

impl RouteSpec {
    /// Whether a visitor can be sent here: to a host of one name, where the app itself answers.
    #[must_use]
    pub fn is_place(&self) -> bool {
        self.host.parent().is_none() && self.options.redirect.is_none()
    }
}

/// One listener of the host that leads to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPortSpec {
    /// Where the proxy listens.
    pub bind: SocketAddr,
    /// The app's own port behind it.
    pub port: NonZeroU16,
    /// What is spoken.
    pub protocol: HostPortProtocol,
}

impl HostPortSpec {
    /// Where it is reached, for people: `http://127.0.0.1:3000`, `tcp://0.0.0.0:5432`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.protocol {
            HostPortProtocol::Http => "http",
            HostPortProtocol::Tcp => "tcp",
        };
        format!("{scheme}://{}", self.bind)
    }
}
