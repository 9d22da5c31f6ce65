//! When a stored release counts as ready, when it is started again, and after whom.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::{AppName, ByteSize};
use serde::{Deserialize, Serialize};

use crate::spec::{
    Condition, Dependency, HttpProbe, ProbeKind, ReadinessSpec, RestartPolicy, RestartSpec, StatusRange,
    Statuses,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DependencyV1 {
    app: AppName,
    condition: ConditionV1,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConditionV1 {
    Started,
    Healthy,
    Completed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProbeV1 {
    Auto,
    Http(HttpProbeV1),
    Tcp,
    Command { argv: Vec<String> },
}

/// The statuses are `first` to `last` and those of `more`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HttpProbeV1 {
    path: String,
    first: u16,
    last: u16,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more: Vec<(u16, u16)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ReadinessV1 {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    message: bool,
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
pub(super) enum PolicyV1 {
    Always,
    OnFailure,
    UnlessStopped,
    Never,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RestartV1 {
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

impl From<&ReadinessSpec> for ReadinessV1 {
    fn from(spec: &ReadinessSpec) -> Self {
        let probe = match spec.kind.clone() {
            ProbeKind::Auto => ProbeV1::Auto,
            ProbeKind::Http(http) => ProbeV1::Http(http.into()),
            ProbeKind::Tcp => ProbeV1::Tcp,
            ProbeKind::Command(argv) => ProbeV1::Command { argv },
        };
        Self {
            message: spec.message,
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
            ProbeV1::Http(http) => ProbeKind::Http(http.into()),
            ProbeV1::Tcp => ProbeKind::Tcp,
            ProbeV1::Command { argv } => ProbeKind::Command(argv),
        };
        Self {
            message: stored.message,
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

impl From<HttpProbe> for HttpProbeV1 {
    fn from(probe: HttpProbe) -> Self {
        let mut ranges = probe.accept.ranges().iter().map(|range| (range.first, range.last));
        // Without any range nothing is good, which an empty one says.
        let (first, last) = ranges.next().unwrap_or((1, 0));
        Self { path: probe.path, first, last, more: ranges.collect(), headers: probe.headers }
    }
}

impl From<HttpProbeV1> for HttpProbe {
    fn from(stored: HttpProbeV1) -> Self {
        let ranges = std::iter::once((stored.first, stored.last)).chain(stored.more);
        let accept = Statuses::new(ranges.map(|(first, last)| StatusRange { first, last }).collect());
        Self { path: stored.path, headers: stored.headers, accept }
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
