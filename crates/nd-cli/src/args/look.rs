//! Commands that only look.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `status`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StatusArgs {
    /// The app; all of them where it is left out
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `logs`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  nextdeploy logs shop -f\n  nextdeploy logs --name=myapp --follow\n  nextdeploy logs shop --level warn+ -n 500\n  nextdeploy logs -F timeout --since 10m"
)]
pub(crate) struct LogsArgs {
    /// The apps; all of them where it is left out
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME")]
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
pub(crate) struct DeploymentsArgs {
    /// The app, or a deployment to show
    #[arg(value_name = "APP|DPL")]
    pub(crate) target: Option<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
}

/// `events`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only of this app
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only of this app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME")]
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

/// `check`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// The file [default: nextdeploy.yml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Take warnings for mistakes
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `completion`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
