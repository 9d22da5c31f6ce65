//! What `deploy`, `plan` and `start` are told about an app.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use nd_api::manifest::{ImageRef, Instances, Port, PortMapping, RestartMax, RestartPolicy, VolumeMount};
use nd_types::{AppName, ByteSize, HostPattern, InvalidPercent, Percent, StrategyName};

use super::duration;
use super::verbs::WaitFlags;
use crate::candidates;

/// `deploy` and `plan`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeployArgs {
    /// The directory with nextdeploy.yml, or an image
    #[arg(value_name = "DIR|IMAGE")]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) workload: WorkloadFlags,
    #[command(flatten)]
    pub(crate) health: HealthFlags,
    /// The same as --env prod
    #[arg(long)]
    pub(crate) prod: bool,
    /// How the release replaces the one before: bluegreen, rolling, recreate or canary; canary=10% and canary=5,25 say which share of the clients gets it first
    #[arg(long, value_name = "NAME", value_parser = strategy)]
    pub(crate) strategy: Option<Strategy>,
    /// What this deployment is about
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// How long to wait for a deployment of the app that is under way; 0 gives up at once
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) lock_wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Deploy although nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// A command to run as a plain process
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// `start`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StartArgs {
    /// Apps to start; or a project's file, an ecosystem file of PM2, or a script
    #[arg(value_name = "APP|FILE", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) workload: WorkloadFlags,
    #[command(flatten)]
    pub(crate) health: HealthFlags,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
    /// A command to run as a plain process; behind a script, what it is called with
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// What an app is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WorkloadFlags {
    /// The app's name
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<AppName>,
    /// The image to run
    #[arg(long, value_name = "REF")]
    pub(crate) image: Option<ImageRef>,
    /// The port the app listens on
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<Port>,
    /// The host name that leads to it
    #[arg(long, value_name = "NAME", value_parser = host)]
    pub(crate) domain: Option<HostPattern>,
    /// A port of the host that leads to it
    #[arg(long, value_name = "HOST:APP", value_delimiter = ',')]
    pub(crate) ports: Vec<PortMapping>,
    /// A variable
    #[arg(short = 'e', value_name = "KEY=VALUE")]
    pub(crate) variables: Vec<String>,
    /// A file of variables
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// What is mounted into the container
    #[arg(long, value_name = "SOURCE:TARGET")]
    pub(crate) volume: Vec<VolumeMount>,
    /// When an instance that ended is started again: always, on-failure, unless-stopped, never
    #[arg(long, value_name = "POLICY")]
    pub(crate) restart: Option<RestartPolicy>,
    /// How often it is restarted at all; -1 is no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) max_restarts: Option<RestartMax>,
    /// How many instances run, or `max`: one a core
    #[arg(short = 'i', long, value_name = "N")]
    pub(crate) instances: Option<Instances>,
    /// Memory at which an instance is killed, as in 512M
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Memory at which an instance is replaced, as in 1G
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory: Option<ByteSize>,
    /// The directory the command starts in
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// The user it runs as
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

/// How an app's health is seen.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HealthFlags {
    /// The path to ask, as in /health
    #[arg(long, value_name = "PATH")]
    pub(crate) health_check: Option<String>,
    /// The port to ask
    #[arg(long, value_name = "PORT")]
    pub(crate) health_port: Option<Port>,
    /// How long one probe may take
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) health_timeout: Option<Duration>,
    /// The time between two probes
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) health_interval: Option<Duration>,
}

impl WorkloadFlags {
    /// Whether anything but the name is said.
    pub(crate) fn says_something(&self) -> bool {
        let Self {
            name: _,
            image,
            port,
            domain,
            ports,
            variables,
            env_file,
            volume,
            restart,
            max_restarts,
            instances,
            memory,
            max_memory,
            cwd,
            user,
        } = self;
        image.is_some()
            || port.is_some()
            || domain.is_some()
            || !ports.is_empty()
            || !variables.is_empty()
            || !env_file.is_empty()
            || !volume.is_empty()
            || restart.is_some()
            || max_restarts.is_some()
            || instances.is_some()
            || memory.is_some()
            || max_memory.is_some()
            || cwd.is_some()
            || user.is_some()
    }
}

impl HealthFlags {
    /// Whether anything is said.
    pub(crate) fn says_something(&self) -> bool {
        self.health_check.is_some()
            || self.health_port.is_some()
            || self.health_timeout.is_some()
            || self.health_interval.is_some()
    }
}

fn host(text: &str) -> Result<HostPattern, nd_types::InvalidHost> {
    HostPattern::new(text)
}

/// How a release takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strategy {
    pub(crate) name: StrategyName,
    /// Shares of the clients, for a canary.
    pub(crate) steps: Option<Vec<u8>>,
}

fn strategy(text: &str) -> Result<Strategy, String> {
    let name = match text {
        "bluegreen" => StrategyName::BlueGreen,
        "recreate" => StrategyName::Recreate,
        "rolling" => StrategyName::Rolling,
        "canary" => StrategyName::Canary,
        _ => {
            let unknown = || format!("`{text}` is not one of bluegreen, rolling, recreate, canary");
            let steps = text.strip_prefix("canary=").ok_or_else(unknown)?;
            return Ok(Strategy { name: StrategyName::Canary, steps: Some(shares(steps)?) });
        }
    };
    Ok(Strategy { name, steps: None })
}

fn shares(text: &str) -> Result<Vec<u8>, String> {
    let share = |part: &str| {
        let share: Percent = part.parse().map_err(|error: InvalidPercent| error.to_string())?;
        share
            .as_whole()
            .filter(|percent| *percent > 0)
            .ok_or_else(|| format!("`{part}` is not a whole percent"))
    };
    let steps = text.split(',').map(share).collect::<Result<Vec<u8>, String>>()?;
    if steps.is_sorted_by(|one, next| one < next) {
        Ok(steps)
    } else {
        Err("the shares must rise".to_owned())
    }
}
