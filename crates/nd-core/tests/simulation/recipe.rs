//! Releases to be deployed, and how their units behave.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use nd_core::spec::{AppSpec, CanarySpec, CommandSpec, HostPortSpec, MirrorSpec, RestartPolicy, Workload};
use nd_types::{ByteSize, HostPortProtocol};

/// For how long a release is tried at each step.
pub(crate) const PAUSE: Duration = Duration::from_secs(12);

/// How the units of a release behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// They become ready and stay so.
    Good,
    /// They are good, and are to be started anew every minute.
    Scheduled,
    /// They run and never become ready.
    NeverReady,
    /// They end while they start.
    DiesStarting,
    /// They become ready, and end as soon as requests are routed to them.
    DiesServing,
    /// Their image does not exist.
    Missing,
    /// Their program cannot be run.
    Unstartable,
}

/// A release to be deployed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) nature: Nature,
    /// How many releases are kept beside it.
    pub(crate) keep: u16,
    pub(crate) policy: RestartPolicy,
    /// Whether a further unit stands by.
    pub(crate) mirror: bool,
}

impl From<Nature> for Recipe {
    fn from(nature: Nature) -> Self {
        Self { nature, keep: 2, policy: RestartPolicy::Always, mirror: false }
    }
}

impl Recipe {
    /// What the release consists of.
    pub(crate) fn spec(self) -> AppSpec {
        let command =
            CommandSpec { argv: vec!["app".to_owned()], cwd: PathBuf::from("/"), user: None, path: None };
        let mut spec = AppSpec::new(Workload::Command(command));
        spec.port = NonZeroU16::new(3000);
        spec.keep_releases = self.keep;
        spec.rollout.canary = CanarySpec { steps: vec![10, 50], pause: PAUSE, ..CanarySpec::default() };
        spec.restart.policy = self.policy;
        spec.mirror = self.mirror.then(MirrorSpec::default);
        spec.restart.max_memory = Some(ByteSize(1 << 30));
        spec.restart.cron = (self.nature == Nature::Scheduled).then(|| "* * * * *".parse().ok()).flatten();
        let bind = SocketAddr::from(([127, 0, 0, 1], 3000));
        let listener = spec.port.map(|port| HostPortSpec { bind, port, protocol: HostPortProtocol::Http });
        spec.host_ports.extend(listener);
        spec
    }
}
