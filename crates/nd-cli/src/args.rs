//! The command tree of both binaries.

mod certs;
mod check;
mod count;
mod deploy;
mod domains;
mod eternal;
pub(crate) mod examples;
mod fields;
mod gate;
mod look;
mod monit;
mod proxy;
mod tool;
mod verbs;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;
use nd_api::manifest::Environment;

use crate::candidates;

pub(crate) use certs::{
    CertExportArgs, CertImportArgs, CertRevokeArgs, CertTrustArgs, CertUntrustArgs, CertsVerb, RevokeWhy,
};
pub(crate) use check::CheckArgs;
pub(crate) use count::Count;
pub(crate) use deploy::{DeployArgs, HealthFlags, StartArgs, WorkloadFlags};
pub(crate) use domains::{DomainAddArgs, DomainCheckArgs, DomainListArgs, DomainRmArgs, DomainsVerb};
pub(crate) use eternal::{DaemonVerb, EternalArgs, EternalFlags, PidFile, in_background};
pub(crate) use fields::Fields;
pub(crate) use gate::{GateVerb, MaintenanceArgs, PauseArgs, Switch};
pub(crate) use look::{
    AppArg, DeploymentListArgs, DeploymentsArgs, DeploymentsVerb, EventsArgs, ListArgs, LogsArgs, OneApp,
    RequestsArgs, StatusArgs, WhyArgs,
};
pub(crate) use monit::MonitArgs;
pub(crate) use proxy::{ProxyTestArgs, ProxyVerb};
pub(crate) use tool::{
    CompletionArgs, ConfigVerb, EcosystemArgs, ExplainArgs, ImportArgs, ImportVerb, ManArgs, UnneededArgs,
};
pub(crate) use verbs::{AppsArgs, DestroyArgs, FlushArgs, RollbackArgs, ScaleArgs, WaitFlags};

/// The heading over the flags that every command takes.
pub(crate) const GLOBAL_FLAGS: &str = "Flags of every command";

/// The tree, under the name that was typed.
pub(crate) fn command(program: &'static str) -> clap::Command {
    let command = told_of_negatives(Cli::command());
    let command = examples::shown(command.name(program).bin_name(program), program);
    if program == "nextdeployd" {
        command.after_help("`nextdeployd run` (or no command) runs the daemon: see `nextdeployd run --help`")
    } else {
        command.after_help("`nextdeploy COMMAND --help` shows examples of a command")
    }
}

/// A number below zero is a value, which is refused with its reason, and not an unknown flag.
fn told_of_negatives(command: clap::Command) -> clap::Command {
    let takes_it = |arg: &clap::Arg| !arg.is_positional() && arg.get_action().takes_values();
    command
        .mut_args(|arg| if takes_it(&arg) { arg.allow_negative_numbers(true) } else { arg })
        .mut_subcommands(told_of_negatives)
}

/// Deploys apps, keeps them running and shows what they do.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = GLOBAL_FLAGS)]
pub(crate) struct Global {
    /// Where the daemon is: unix:///PATH or http://HOST:PORT [env: NEXTDEPLOY_HOST]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) host: Option<String>,
    /// The API token; `-` reads it from standard input [env: NEXTDEPLOY_TOKEN]
    #[arg(long, global = true, value_name = "T")]
    pub(crate) token: Option<String>,
    /// The project's file [default: nextdeploy.yml]
    #[arg(short = 'c', long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The environment of the file: dev, staging or prod
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) env: Option<Environment>,
    /// Print JSON: one object, an array for lists, a line each for streams; or these fields of it alone
    #[arg(long, global = true, value_name = "FIELD,…", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) json: Option<Fields>,
    /// Print the result and errors alone
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,
    /// The same as --color never
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Never ask
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// How long one answer of the daemon may take, as in 30s
    #[arg(long, global = true, value_name = "D", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// In files and pipes too.
    Always,
    /// Not at all.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy the project in this directory, an image, or a command
    #[command(visible_alias = "ship")]
    Deploy(Box<DeployArgs>),
    /// Show what a deployment would do; exit code 8 when it would change something
    Plan(Box<DeployArgs>),
    /// Check a project's file, or what runs; exit code 8 when something is wrong
    Check(Box<CheckArgs>),
    /// List apps
    #[command(name = "ls", visible_aliases = ["list", "l", "ps"])]
    List(ListArgs),
    /// Show an app with its instances and last log lines
    Status(StatusArgs),
    /// Show everything that is known about an app
    #[command(visible_aliases = ["show", "info"])]
    Describe(OneApp),
    /// Show what happened to an app, and why
    Why(WhyArgs),
    /// Show what apps write
    Logs(LogsArgs),
    /// Show the requests to an app that the proxy served
    Requests(RequestsArgs),
    /// Drop the log lines of apps that are kept
    Flush(FlushArgs),
    /// Show what apps use of the machine
    Metrics(AppArg),
    /// Show apps as a tree: environments, instances, domains, volumes and schedules; with a file, import it from PM2
    Ecosystem(EcosystemArgs),
    /// Start an app; with --image or a command, deploy it first
    Start(Box<StartArgs>),
    /// Stop apps and keep them
    Stop(AppsArgs),
    /// Replace every instance of apps by a fresh one
    Restart(AppsArgs),
    /// Replace every instance of apps so that nobody notices: each goes once its successor serves
    Reload(AppsArgs),
    /// Change the number of instances of an app
    Scale(ScaleArgs),
    #[command(flatten)]
    Gate(GateVerb),
    /// Bring an earlier release back
    Rollback(RollbackArgs),
    /// Remove apps with their instances and releases
    #[command(visible_aliases = ["delete", "remove"])]
    Destroy(DestroyArgs),
    /// List deployments of an app, or show one of them
    Deployments(DeploymentsArgs),
    /// End a deployment that is under way
    Cancel {
        /// The deployment, or the beginning of its id
        #[arg(value_name = "DPL", add = ArgValueCandidates::new(candidates::deployments))]
        deployment: String,
    },
    /// Let the release that a canary tries take over at once
    Promote {
        /// The deployment, or the beginning of its id
        #[arg(value_name = "DPL", add = ArgValueCandidates::new(candidates::deployments))]
        deployment: String,
    },
    /// Show what happened
    Events(EventsArgs),
    /// Watch apps, their lines and the host, full screen; without a terminal as plain rows
    Monit(MonitArgs),
    /// Show what the proxy serves, and what it would do with a request
    #[command(subcommand)]
    Proxy(ProxyVerb),
    /// List the domains that lead to apps, add, remove and check them
    #[command(subcommand, visible_alias = "domain")]
    Domains(DomainsVerb),
    /// Show, renew, bring, take along, revoke and trust certificates
    #[command(subcommand, visible_alias = "cert")]
    Certs(CertsVerb),
    /// Show the workers inside the daemon
    Workers,
    /// Show the version of this program and of the daemon
    Version,
    /// Put a new version of the daemon, which lies in the place of its program, into service; no request fails
    #[command(visible_alias = "upgrade-daemon")]
    Upgrade,
    /// Keep one command running in the foreground, without a daemon
    Eternal(EternalArgs),
    /// Start, stop, restart or show a command that is kept running in the background
    #[command(subcommand)]
    Daemon(DaemonVerb),
    /// Show the project's file as it is read, and what its keys do
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Make a nextdeploy.yml of a file of another tool
    #[command(subcommand)]
    Import(ImportVerb),
    /// Not needed: what is wanted of apps is saved at every change
    #[command(visible_alias = "dump")]
    Save(UnneededArgs),
    /// Not needed: apps come back by themselves
    Resurrect(UnneededArgs),
    /// Not needed: `nextdeployd install` starts the daemon with the machine
    Startup(UnneededArgs),
    /// Say what an error code means, and what helps
    Explain(ExplainArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print or install the manual
    Man(ManArgs),
}

/// Reads `30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, nd_types::InvalidMeasure> {
    nd_types::parse_duration(text)
}

#[cfg(test)]
mod tests;
