//! Verbs that edit what is wanted of apps.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::count::Count;
use super::duration;
use crate::candidates;

/// Which apps: `APP…`, `--name=APP`, `all`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AppsArgs {
    /// The apps; `all` for all of them
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) apps: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// How long a command waits.
#[derive(Clone, Debug, Args)]
pub(crate) struct WaitFlags {
    /// Return as soon as the daemon has taken it over
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Wait until it is done, as by default
    #[arg(long, conflicts_with = "no_wait", hide = true)]
    pub(crate) wait: bool,
    /// How long to wait; then exit code 7, and the work goes on
    #[arg(long, value_name = "D", value_parser = duration, default_value = "5m")]
    pub(crate) wait_timeout: Duration,
}

impl WaitFlags {
    /// How long to wait; not at all with `--no-wait`.
    pub(crate) fn limit(&self) -> Option<Duration> {
        (!self.no_wait).then_some(self.wait_timeout)
    }
}

/// `flush`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FlushArgs {
    /// The apps; all of them where it is left out
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) apps: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Vec<String>,
}

/// `scale`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScaleArgs {
    /// The app, and how many instances shall run: 3, or +2 for two more, -1 for one less
    #[arg(value_name = "APP N", num_args = 0..=2, allow_negative_numbers = true, add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) words: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    /// How many instances shall run: 3, +2, -1, or `max` for one a core
    #[arg(short = 'i', long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) instances: Option<Count>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// `rollback`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The app, and the deployment or release to go back to
    #[arg(value_name = "APP DPL", num_args = 0..=2, add = ArgValueCandidates::new(candidates::apps_and_deployments))]
    pub(crate) words: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    /// The deployment or release to go back to
    #[arg(long, visible_alias = "toCommit", value_name = "DPL", add = ArgValueCandidates::new(candidates::deployments))]
    pub(crate) to: Option<String>,
    /// How many releases to go back
    #[arg(long, value_name = "N", conflicts_with = "to")]
    pub(crate) steps: Option<u32>,
    /// What it is about
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// `destroy`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DestroyArgs {
    /// The apps; `all` for all of them
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) apps: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Vec<String>,
    /// Also one with deletion_protection
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}
