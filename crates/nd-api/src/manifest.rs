//! The manifest: one type for `nextdeploy.yml` and for the body of a deploy request.
//!
//! Every key that may be left out is an `Option` (or an empty collection), so that "not written" stays different from
//! any value; defaults are applied where the manifest becomes the desired state of an app. Keys that begin with `x-`
//! are the author's own notes: they are accepted in the file and never travel.

mod command;
mod container;
mod depends;
mod duration;
mod env;
mod image;
mod limits;
mod mirror;
mod password;
mod policy;
mod port;
mod proxy;
mod rollout;
mod schedule;
mod ssl;
mod statuses;
mod volume;

use std::time::Duration;

use nd_types::{AppName, ByteSize, HostPattern, RuntimeKind, Upstream};
use serde::{Deserialize, Serialize};

pub use self::command::CommandLine;
pub use self::container::{Container, Healthcheck, TcpProbe};
pub use self::depends::{Dependencies, Dependency};
pub use self::duration::format_exact;
pub use self::env::{Env, InvalidEnv};
pub use self::image::{ImageRef, InvalidImage};
pub use self::limits::{BackoffFactor, CpuQuota, Instances, InvalidLimit, RestartMax};
pub use self::mirror::Mirror;
pub use self::password::Password;
pub use self::policy::{
    Condition, Environment, InvalidWord, Protocol, ProxyType, RestartPolicy, Sticky, StopSignal,
};
pub use self::port::{InvalidPort, Port, PortMapping};
pub use self::proxy::{Access, BasicAuth, HeaderChanges, PageSource, Proxy, ProxyRateLimit, ProxyRoute};
pub use self::rollout::{AbortIf, Canary, Rollout};
pub use self::schedule::{CronSchedule, InvalidCron};
pub use self::ssl::{Hsts, Ssl};
pub use self::statuses::{InvalidStatus, StatusRange, Statuses};
pub use self::volume::{InvalidVolume, VolumeMount, VolumeSource};

/// What an app should be: the content of `nextdeploy.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the file format.
    #[serde(default)]
    pub version: FormatVersion,
    /// Where the app runs; a server of one's own where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_type: Option<TargetType>,
    /// What the app is called and where it is reached.
    pub app: App,
    /// The container image to run. Without it the app is a plain process (`command`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// The command to run: of the process, or instead of the image's own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// A server that something else runs: requests are brought to it, and nothing runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// What a container runs in place of its image's entrypoint, and then without the image's command; an empty list
    /// runs `command` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The directory the command of a plain process starts in; relative to the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The directory inside a container that its command starts in; absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The user (name or `uid[:gid]`) the command runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which runtime runs the app, where `image` and `command` shall not decide it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeKind>,
    /// Environment variables of every instance.
    #[serde(default, skip_serializing_if = "Env::is_empty")]
    pub env: Env,
    /// How it is rolled out and what its container looks like.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deployment: Deployment,
    /// Whether each instance of a plain process says itself when it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ready: Option<bool>,
    /// After which time without a request it is stopped until the next one; never where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub sleep_after: Option<Duration>,
    /// Limits of restarting; the policy itself is `deployment.container.restart`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: RestartLimits,
    /// How many instances run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale: Scale,
    /// A further instance that stands by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// How requests reach it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proxy: Proxy,
    /// Its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl: Option<Box<Ssl>>,
    /// The apps that come up before it and stop after it.
    #[serde(default, skip_serializing_if = "Dependencies::is_empty")]
    pub depends_on: Dependencies,
}

impl Manifest {
    /// A manifest that says nothing but the app's name.
    #[must_use]
    pub fn new(name: AppName) -> Self {
        Self {
            version: FormatVersion::V1,
            target_type: None,
            app: App {
                name,
                port: None,
                protocol: None,
                domain: None,
                proxy_type: None,
                environment: None,
                deletion_protection: None,
                resources: Resources::default(),
            },
            image: None,
            command: None,
            upstream: None,
            entrypoint: None,
            cwd: None,
            working_dir: None,
            user: None,
            runtime: None,
            env: Env::default(),
            deployment: Deployment::default(),
            wait_ready: None,
            sleep_after: None,
            restart: RestartLimits::default(),
            scale: Scale::default(),
            mirror: None,
            proxy: Proxy::default(),
            ssl: None,
            depends_on: Dependencies::default(),
        }
    }

    /// The runtime that was asked for: the one written, else containers for an image, processes for a command, and none
    /// of both for an upstream.
    #[must_use]
    pub fn runtime(&self) -> RuntimeKind {
        let implied = match (&self.upstream, &self.image) {
            (Some(_), _) => RuntimeKind::External,
            (None, Some(_)) => RuntimeKind::Docker,
            (None, None) => RuntimeKind::Process,
        };
        self.runtime.unwrap_or(implied)
    }
}

/// The version of the file format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormatVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "1.0")]
    V1,
}

/// Where an app runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// A server of one's own.
    Vps,
}

/// What the app is called and where it is reached (`app:`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// The port it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// What it speaks there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The host name that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<HostPattern>,
    /// What brings requests to it; as before, or what the daemon has as its default, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_type: Option<ProxyType>,
    /// Which of the user's environments this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Whether `destroy` needs `--force`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// What one instance may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
}

/// What one instance may use (`app.resources:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor time, as a share of one core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<CpuQuota>,
    /// Memory at which the instance is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<ByteSize>,
    /// Memory at which the kernel begins to reclaim; at most `memory_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_high: Option<ByteSize>,
    /// Processes and threads it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

/// How the app is rolled out (`deployment:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// What its container looks like, and how its health is seen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub container: Container,
    /// How one release replaces another.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rollout: Rollout,
    /// How an instance is stopped.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop: Stop,
}

/// How an instance is stopped (`deployment.stop:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The signal that asks it to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<StopSignal>,
    /// How long it may take; then it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub grace: Option<Duration>,
}

/// Limits of restarting (`restart:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartLimits {
    /// How often it is restarted at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<RestartMax>,
    /// How long an instance must run for its end not to count towards a crash loop.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub min_uptime: Option<Duration>,
    /// The wait before the first restart.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub delay: Option<Duration>,
    /// What the wait is multiplied by each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<BackoffFactor>,
    /// The longest wait.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub max_delay: Option<Duration>,
    /// How many early ends within `crash_window` are a crash loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_threshold: Option<u32>,
    /// The time in which they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub crash_window: Option<Duration>,
    /// Memory at which an instance is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<ByteSize>,
    /// Exit codes after which it stays stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_exit_codes: Vec<i32>,
    /// When every instance is started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronSchedule>,
}

/// How many instances run (`scale:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The number of instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Instances>,
}

/// Whether a section says nothing, so that it is left out of the text.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
