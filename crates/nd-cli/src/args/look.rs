//! Commands that only look.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use crate::candidates;

/// `ls`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ListArgs {
    /// Show them again every 2s, until q or Ctrl-C
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// `status`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) app: AppArg,
    /// Show the workers inside the daemon instead
    #[arg(long)]
    pub(crate) workers: bool,
}

/// Which one app: `APP`, `--name=APP`.
#[derive(Clone, Debug, Args)]
pub(crate) struct OneApp {
    /// The app; the project's own where it is left out
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) app: Option<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
}

/// Which app, or all of them: `APP`, `--name=APP`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AppArg {
    /// The app; all of them where it is left out
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) app: Option<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
}

impl AppArg {
    /// The name that was typed, wherever it was.
    pub(crate) fn word(&self) -> Option<&str> {
        self.app.as_deref().or(self.name.as_deref())
    }
}

/// `why`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    pub(crate) app: OneApp,
    /// Only what happened from this time on: 10m, or 2026-11-21T15:04:05Z
    #[arg(long, value_name = "T")]
    pub(crate) since: Option<String>,
    /// How many of the last entries
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// `requests`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RequestsArgs {
    #[command(flatten)]
    pub(crate) app: OneApp,
    /// Go on with those that come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the latest requests
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: u32,
}

/// `logs`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogsArgs {
    /// The apps; all of them where it is left out
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) apps: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Vec<String>,
    /// Go on with what is written
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: u32,
    /// Only lines from this time on: 10m, or 2026-11-21T15:04:05Z
    #[arg(long, value_name = "T")]
    pub(crate) since: Option<String>,
    /// Only lines before this time
    #[arg(long, value_name = "T")]
    pub(crate) until: Option<String>,
    /// Only this level: error; with a plus, and worse: warn+
    #[arg(long, value_name = "LEVEL")]
    pub(crate) level: Option<String>,
    /// Only stdout or stderr
    #[arg(long, value_name = "STREAM", value_parser = ["stdout", "stderr"])]
    pub(crate) stream: Option<String>,
    /// The same as --stream stdout
    #[arg(long, conflicts_with_all = ["stream", "err"])]
    pub(crate) out: bool,
    /// The same as --stream stderr
    #[arg(long, conflicts_with = "stream")]
    pub(crate) err: bool,
    /// Only this container, by its name or the beginning of it
    #[arg(long, value_name = "ID")]
    pub(crate) container: Option<String>,
    /// Only the instances in this place of their releases
    #[arg(long, value_name = "N")]
    pub(crate) instance: Option<u16>,
    /// Only lines that contain this text, whatever its case
    #[arg(short = 'F', long, visible_alias = "grep", value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Print the lines as they were written
    #[arg(long)]
    pub(crate) raw: bool,
    /// Leave the time out
    #[arg(long)]
    pub(crate) no_time: bool,
}

/// `deployments`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DeploymentsArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<DeploymentsVerb>,
    // Without a verb they are listed.
    #[command(flatten)]
    pub(crate) list: DeploymentListArgs,
}

/// What to do with deployments.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DeploymentsVerb {
    /// List deployments of an app, newest first
    #[command(visible_alias = "list")]
    Ls(DeploymentListArgs),
    /// Show one deployment: how it ended, why, and what to do
    Show {
        /// The deployment, or the beginning of its id
        #[arg(value_name = "DPL", add = ArgValueCandidates::new(candidates::deployments))]
        deployment: String,
    },
    /// Show the steps of a deployment
    Logs {
        /// The deployment, or the beginning of its id
        #[arg(value_name = "DPL", add = ArgValueCandidates::new(candidates::deployments))]
        deployment: String,
        /// Go on with what happens, to its end
        #[arg(short, long)]
        follow: bool,
    },
}

/// `deployments ls`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeploymentListArgs {
    /// The app, or a deployment to show
    #[arg(value_name = "APP|DPL", add = ArgValueCandidates::new(candidates::apps_and_deployments))]
    pub(crate) target: Option<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
}

/// `events`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only of this app
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) app: Option<String>,
    /// Only of this app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    /// Go on with what happens
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this kind or group: deploy, deploy.failed
    #[arg(long = "type", value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// How many of the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}
