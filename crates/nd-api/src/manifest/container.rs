//! What a container looks like and how its health is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CommandLine, Port, PortMapping, RestartPolicy, Statuses, VolumeMount, duration, is_default};

/// The app's container (`deployment.container:`). `restart`, `ports` and `healthcheck` hold for plain processes too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The base name of containers, as the original tool's files write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names beside the app's under which other containers reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// When an instance that ended is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,
    /// Files with `KEY=VALUE` lines. The client reads them and sends their content in `env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<String>,
    /// What is mounted into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeMount>,
    /// Ports of the host that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// How its health is seen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub healthcheck: Healthcheck,
}

/// How an instance's health is seen; at most one of `path`, `tcp` and `cmd` is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// `GET` this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Connect, and nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// Run this inside the instance; exit code 0 is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<CommandLine>,
    /// The port to probe, where it is not `app.port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// The statuses that are healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Statuses>,
    /// Headers of the request; no name stands twice, in whatever spelling.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Time between two probes of an instance that serves.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub interval: Option<Duration>,
    /// How long one probe may take; at most `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub timeout: Option<Duration>,
    /// Failures in a row until the instance is unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long a starting instance may fail its probes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub start_period: Option<Duration>,
}

/// Which port a TCP probe connects to: `true`, or a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "TcpText", into = "TcpText")]
pub enum TcpProbe {
    /// `healthcheck.port`, else `app.port`.
    AppPort,
    /// This one.
    Port(Port),
}

/// How [`TcpProbe`] is written. `false` says the same as `true` would deny, so it is refused by the checks.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TcpText {
    Flag(bool),
    Port(Port),
}

impl From<TcpText> for TcpProbe {
    fn from(text: TcpText) -> Self {
        match text {
            TcpText::Flag(_) => Self::AppPort,
            TcpText::Port(port) => Self::Port(port),
        }
    }
}

impl From<TcpProbe> for TcpText {
    fn from(probe: TcpProbe) -> Self {
        match probe {
            TcpProbe::AppPort => Self::Flag(true),
            TcpProbe::Port(port) => Self::Port(port),
        }
    }
}
