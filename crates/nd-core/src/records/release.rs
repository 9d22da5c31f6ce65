//! A release as it is stored: the spec in a form of its own, so that the engine's types may change freely.

mod policy;
mod rollout;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nd_types::{
    AppName, AppProtocol, ByteSize, DeploymentId, HostPattern, HostPortProtocol, PathPrefix, ReleaseId,
    RouteOptions, ServiceLimits, StrategyName, Timestamp, TrafficRules, Upstream,
};
use serde::{Deserialize, Serialize};

use crate::ports::Prepared;
use crate::spec::{
    AppSpec, CommandSpec, Dependency, HostPortSpec, ImageSpec, MirrorSpec, Resources, RouteSpec, StopSpec,
    VolumeSource, VolumeSpec, Workload,
};
use policy::{DependencyV1, ReadinessV1, RestartV1};
use rollout::RolloutV1;
use tls::TlsV1;

/// One release of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Its id.
    pub id: ReleaseId,
    /// The app.
    pub app: AppName,
    /// The deployment that made it.
    pub deployment: Option<DeploymentId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The container that was adopted as this release, by its name; such a unit was not created by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<String>,
    /// What preparing it found out; absent until it was prepared.
    pub prepared: Option<PreparedV1>,
    /// What it consists of.
    pub spec: SpecV1,
}

/// [`Prepared`], stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedV1 {
    image_id: Option<String>,
    exposed: Vec<NonZeroU16>,
    healthcheck: bool,
}

/// [`AppSpec`], stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecV1 {
    workload: WorkloadV1,
    env: BTreeMap<String, String>,
    port: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "is_http")]
    protocol: AppProtocol,
    routes: Vec<RouteV1>,
    host_ports: Vec<HostPortV1>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    direct: bool,
    volumes: Vec<VolumeV1>,
    resources: ResourcesV1,
    readiness: ReadinessV1,
    restart: RestartV1,
    stop_signal: Option<i32>,
    stop_grace: Duration,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<DependencyV1>,
    strategy: Option<StrategyName>,
    #[serde(default, skip_serializing_if = "RolloutV1::is_default")]
    rollout: RolloutV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirror: Option<MirrorV1>,
    drain: Duration,
    limits: ServiceLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sleep_after: Option<Duration>,
    #[serde(default, skip_serializing_if = "TrafficRules::is_empty")]
    rules: Arc<TrafficRules>,
    #[serde(default, skip_serializing_if = "TlsV1::is_default")]
    tls: TlsV1,
    keep_releases: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WorkloadV1 {
    Image(ImageV1),
    Command { argv: Vec<String>, cwd: PathBuf, user: Option<String>, path: Option<String> },
    External { upstream: Upstream },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ImageV1 {
    reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RouteV1 {
    host: HostPattern,
    path: PathPrefix,
    #[serde(default, skip_serializing_if = "RouteOptions::is_empty")]
    options: RouteOptions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct HostPortV1 {
    bind: SocketAddr,
    port: NonZeroU16,
    protocol: HostPortProtocol,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct VolumeV1 {
    named: Option<String>,
    path: Option<PathBuf>,
    target: String,
    read_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MirrorV1 {
    cooldown: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ResourcesV1 {
    cpu_millis: Option<NonZeroU32>,
    memory: Option<ByteSize>,
    pids: Option<NonZeroU32>,
}

/// What most apps speak is not written down.
fn is_http(protocol: &AppProtocol) -> bool {
    *protocol == AppProtocol::Http
}

impl From<&Prepared> for PreparedV1 {
    fn from(prepared: &Prepared) -> Self {
        Self {
            image_id: prepared.image_id.clone(),
            exposed: prepared.exposed.clone(),
            healthcheck: prepared.healthcheck,
        }
    }
}

impl From<&PreparedV1> for Prepared {
    fn from(stored: &PreparedV1) -> Self {
        Self {
            image_id: stored.image_id.clone(),
            exposed: stored.exposed.clone(),
            healthcheck: stored.healthcheck,
            notes: Vec::new(),
        }
    }
}

impl From<&AppSpec> for SpecV1 {
    fn from(spec: &AppSpec) -> Self {
        Self {
            workload: (&spec.workload).into(),
            env: spec.env.clone(),
            port: spec.port,
            protocol: spec.protocol,
            routes: spec
                .routes
                .iter()
                .map(|r| RouteV1 { host: r.host.clone(), path: r.path.clone(), options: r.options.clone() })
                .collect(),
            host_ports: spec
                .host_ports
                .iter()
                .map(|p| HostPortV1 { bind: p.bind, port: p.port, protocol: p.protocol })
                .collect(),
            direct: spec.direct,
            volumes: spec.volumes.iter().map(VolumeV1::from).collect(),
            resources: ResourcesV1 {
                cpu_millis: spec.resources.cpu_millis,
                memory: spec.resources.memory,
                pids: spec.resources.pids,
            },
            readiness: (&spec.readiness).into(),
            restart: (&spec.restart).into(),
            stop_signal: spec.stop.signal,
            stop_grace: spec.stop.grace,
            depends_on: spec.depends_on.iter().map(DependencyV1::from).collect(),
            strategy: spec.strategy,
            rollout: (&spec.rollout).into(),
            mirror: spec.mirror.map(|mirror| MirrorV1 { cooldown: mirror.cooldown }),
            drain: spec.drain,
            limits: spec.limits.clone(),
            sleep_after: spec.sleep_after,
            rules: Arc::clone(&spec.rules),
            tls: spec.tls.as_ref().into(),
            keep_releases: spec.keep_releases,
        }
    }
}

impl From<&SpecV1> for AppSpec {
    fn from(stored: &SpecV1) -> Self {
        Self {
            workload: (&stored.workload).into(),
            env: stored.env.clone(),
            port: stored.port,
            protocol: stored.protocol,
            routes: stored
                .routes
                .iter()
                .map(|r| RouteSpec { host: r.host.clone(), path: r.path.clone(), options: r.options.clone() })
                .collect(),
            host_ports: stored
                .host_ports
                .iter()
                .map(|p| HostPortSpec { bind: p.bind, port: p.port, protocol: p.protocol })
                .collect(),
            direct: stored.direct,
            volumes: stored.volumes.iter().map(VolumeSpec::from).collect(),
            resources: Resources {
                cpu_millis: stored.resources.cpu_millis,
                memory: stored.resources.memory,
                pids: stored.resources.pids,
            },
            readiness: (&stored.readiness).into(),
            restart: (&stored.restart).into(),
            stop: StopSpec { signal: stored.stop_signal, grace: stored.stop_grace },
            depends_on: stored.depends_on.iter().map(Dependency::from).collect(),
            strategy: stored.strategy,
            rollout: (&stored.rollout).into(),
            mirror: stored.mirror.map(|mirror| MirrorSpec { cooldown: mirror.cooldown }),
            drain: stored.drain,
            limits: stored.limits.clone(),
            sleep_after: stored.sleep_after,
            rules: Arc::clone(&stored.rules),
            tls: Arc::new((&stored.tls).into()),
            keep_releases: stored.keep_releases,
        }
    }
}

impl From<&Workload> for WorkloadV1 {
    fn from(workload: &Workload) -> Self {
        match workload.clone() {
            Workload::Image(ImageSpec { reference, entrypoint, command, working_dir, user, aliases }) => {
                Self::Image(ImageV1 { reference, entrypoint, command, working_dir, user, aliases })
            }
            Workload::Command(CommandSpec { argv, cwd, user, path }) => {
                Self::Command { argv, cwd, user, path }
            }
            Workload::External(upstream) => Self::External { upstream },
        }
    }
}

impl From<&WorkloadV1> for Workload {
    fn from(stored: &WorkloadV1) -> Self {
        match stored.clone() {
            WorkloadV1::Image(ImageV1 { reference, entrypoint, command, working_dir, user, aliases }) => {
                Self::Image(ImageSpec { reference, entrypoint, command, working_dir, user, aliases })
            }
            WorkloadV1::Command { argv, cwd, user, path } => {
                Self::Command(CommandSpec { argv, cwd, user, path })
            }
            WorkloadV1::External { upstream } => Self::External(upstream),
        }
    }
}

impl From<&VolumeSpec> for VolumeV1 {
    fn from(volume: &VolumeSpec) -> Self {
        let (named, path) = match volume.source.clone() {
            VolumeSource::Named(name) => (Some(name), None),
            VolumeSource::Path(path) => (None, Some(path)),
        };
        Self { named, path, target: volume.target.clone(), read_only: volume.read_only }
    }
}

impl From<&VolumeV1> for VolumeSpec {
    fn from(stored: &VolumeV1) -> Self {
        let source = match (&stored.path, &stored.named) {
            (Some(path), _) => VolumeSource::Path(path.clone()),
            (None, name) => VolumeSource::Named(name.clone().unwrap_or_default()),
        };
        Self { source, target: stored.target.clone(), read_only: stored.read_only }
    }
}
