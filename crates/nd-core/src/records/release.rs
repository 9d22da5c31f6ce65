//! A release as it is stored: the spec in a form of its own, so that the engine's types may change freely.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use nd_types::{
    AppName, ByteSize, DeploymentId, HostPattern, HostPortProtocol, PathPrefix, ReleaseId, ServiceLimits,
    StrategyName, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::ports::Prepared;
use crate::spec::{
    AppSpec, CommandSpec, Condition, Dependency, HostPortSpec, ImageSpec, ProbeKind, ReadinessSpec,
    Resources, RestartPolicy, RestartSpec, RouteSpec, StatusRange, StopSpec, VolumeSource, VolumeSpec,
    Workload,
};

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
    routes: Vec<RouteV1>,
    host_ports: Vec<HostPortV1>,
    volumes: Vec<VolumeV1>,
    resources: ResourcesV1,
    readiness: ReadinessV1,
    restart: RestartV1,
    stop_signal: Option<i32>,
    stop_grace: Duration,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<DependencyV1>,
    strategy: Option<StrategyName>,
    drain: Duration,
    limits: ServiceLimits,
    keep_releases: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DependencyV1 {
    app: AppName,
    condition: ConditionV1,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConditionV1 {
    Started,
    Healthy,
    Completed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WorkloadV1 {
    Image { reference: String, command: Vec<String>, user: Option<String> },
    Command { argv: Vec<String>, cwd: PathBuf, user: Option<String>, path: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RouteV1 {
    host: HostPattern,
    path: PathPrefix,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ResourcesV1 {
    cpu_millis: Option<NonZeroU32>,
    memory: Option<ByteSize>,
    pids: Option<NonZeroU32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProbeV1 {
    Auto,
    Http { path: String, first: u16, last: u16 },
    Tcp,
    Command { argv: Vec<String> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ReadinessV1 {
    probe: ProbeV1,
    port: Option<NonZeroU16>,
    timeout: Duration,
    interval: Duration,
    retries: u16,
    start_period: Duration,
    deadline: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PolicyV1 {
    Always,
    OnFailure,
    UnlessStopped,
    Never,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RestartV1 {
    policy: PolicyV1,
    max_restarts: Option<u32>,
    min_uptime: Duration,
    delay: Duration,
    delay_declared: bool,
    backoff_factor: u32,
    max_delay: Duration,
    crash_threshold: u32,
    crash_window: Duration,
    cooldown: Duration,
    stop_exit_codes: Vec<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_memory: Option<ByteSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
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
            routes: spec
                .routes
                .iter()
                .map(|r| RouteV1 { host: r.host.clone(), path: r.path.clone() })
                .collect(),
            host_ports: spec
                .host_ports
                .iter()
                .map(|p| HostPortV1 { bind: p.bind, port: p.port, protocol: p.protocol })
                .collect(),
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
            drain: spec.drain,
            limits: spec.limits.clone(),
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
            routes: stored
                .routes
                .iter()
                .map(|r| RouteSpec { host: r.host.clone(), path: r.path.clone() })
                .collect(),
            host_ports: stored
                .host_ports
                .iter()
                .map(|p| HostPortSpec { bind: p.bind, port: p.port, protocol: p.protocol })
                .collect(),
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
            drain: stored.drain,
            limits: stored.limits.clone(),
            keep_releases: stored.keep_releases,
        }
    }
}

impl From<&Dependency> for DependencyV1 {
    fn from(dependency: &Dependency) -> Self {
        let condition = match dependency.condition {
            Condition::Started => ConditionV1::Started,
            Condition::Healthy => ConditionV1::Healthy,
            Condition::Completed => ConditionV1::Completed,
        };
        Self { app: dependency.app.clone(), condition }
    }
}

impl From<&DependencyV1> for Dependency {
    fn from(stored: &DependencyV1) -> Self {
        let condition = match stored.condition {
            ConditionV1::Started => Condition::Started,
            ConditionV1::Healthy => Condition::Healthy,
            ConditionV1::Completed => Condition::Completed,
        };
        Self { app: stored.app.clone(), condition }
    }
}

impl From<&Workload> for WorkloadV1 {
    fn from(workload: &Workload) -> Self {
        match workload.clone() {
            Workload::Image(ImageSpec { reference, command, user }) => {
                Self::Image { reference, command, user }
            }
            Workload::Command(CommandSpec { argv, cwd, user, path }) => {
                Self::Command { argv, cwd, user, path }
            }
        }
    }
}

impl From<&WorkloadV1> for Workload {
    fn from(stored: &WorkloadV1) -> Self {
        match stored.clone() {
            WorkloadV1::Image { reference, command, user } => {
                Self::Image(ImageSpec { reference, command, user })
            }
            WorkloadV1::Command { argv, cwd, user, path } => {
                Self::Command(CommandSpec { argv, cwd, user, path })
            }
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

impl From<&ReadinessSpec> for ReadinessV1 {
    fn from(spec: &ReadinessSpec) -> Self {
        let probe = match spec.kind.clone() {
            ProbeKind::Auto => ProbeV1::Auto,
            ProbeKind::Http { path, accept } => {
                ProbeV1::Http { path, first: accept.first, last: accept.last }
            }
            ProbeKind::Tcp => ProbeV1::Tcp,
            ProbeKind::Command(argv) => ProbeV1::Command { argv },
        };
        Self {
            probe,
            port: spec.port,
            timeout: spec.timeout,
            interval: spec.interval,
            retries: spec.retries,
            start_period: spec.start_period,
            deadline: spec.deadline,
        }
    }
}

impl From<&ReadinessV1> for ReadinessSpec {
    fn from(stored: &ReadinessV1) -> Self {
        let kind = match stored.probe.clone() {
            ProbeV1::Auto => ProbeKind::Auto,
            ProbeV1::Http { path, first, last } => {
                ProbeKind::Http { path, accept: StatusRange { first, last } }
            }
            ProbeV1::Tcp => ProbeKind::Tcp,
            ProbeV1::Command { argv } => ProbeKind::Command(argv),
        };
        Self {
            kind,
            port: stored.port,
            timeout: stored.timeout,
            interval: stored.interval,
            retries: stored.retries,
            start_period: stored.start_period,
            deadline: stored.deadline,
        }
    }
}

impl From<&RestartSpec> for RestartV1 {
    fn from(spec: &RestartSpec) -> Self {
        Self {
            policy: match spec.policy {
                RestartPolicy::Always => PolicyV1::Always,
                RestartPolicy::OnFailure => PolicyV1::OnFailure,
                RestartPolicy::UnlessStopped => PolicyV1::UnlessStopped,
                RestartPolicy::Never => PolicyV1::Never,
            },
            max_restarts: spec.max_restarts,
            min_uptime: spec.min_uptime,
            delay: spec.delay,
            delay_declared: spec.delay_declared,
            backoff_factor: spec.backoff_factor,
            max_delay: spec.max_delay,
            crash_threshold: spec.crash_threshold,
            crash_window: spec.crash_window,
            cooldown: spec.cooldown,
            stop_exit_codes: spec.stop_exit_codes.clone(),
            max_memory: spec.max_memory,
            cron: spec.cron.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&RestartV1> for RestartSpec {
    fn from(stored: &RestartV1) -> Self {
        Self {
            policy: match stored.policy {
                PolicyV1::Always => RestartPolicy::Always,
                PolicyV1::OnFailure => RestartPolicy::OnFailure,
                PolicyV1::UnlessStopped => RestartPolicy::UnlessStopped,
                PolicyV1::Never => RestartPolicy::Never,
            },
            max_restarts: stored.max_restarts,
            min_uptime: stored.min_uptime,
            delay: stored.delay,
            delay_declared: stored.delay_declared,
            backoff_factor: stored.backoff_factor,
            max_delay: stored.max_delay,
            crash_threshold: stored.crash_threshold,
            crash_window: stored.crash_window,
            cooldown: stored.cooldown,
            stop_exit_codes: stored.stop_exit_codes.clone(),
            max_memory: stored.max_memory,
            // It was read when the release was made; what cannot be read any more asks for nothing.
            cron: stored.cron.as_ref().and_then(|cron| cron.parse().ok()),
        }
    }
}
