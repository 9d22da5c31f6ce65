//! What is put in front of an app.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::duration;
use super::verbs::{AppsArgs, WaitFlags};
use crate::candidates;

/// What puts something in front of apps, or takes it away.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum GateVerb {
    /// Answer requests of apps with a page that says to come back later, or do so no more
    Maintenance(MaintenanceArgs),
    /// Let requests of apps wait for a while
    Pause(PauseArgs),
    /// Let requests of apps that are paused go on
    Resume(AppsArgs),
}

/// `maintenance`.
#[derive(Clone, Debug, Args)]
pub(crate) struct MaintenanceArgs {
    /// Whether requests get the page
    #[arg(value_name = "on|off", hide_possible_values = true)]
    pub(crate) to: Switch,
    /// The apps; `all` for all of them
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) apps: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Vec<String>,
    /// When visitors are told to come back, up to 24h; left out: 5m
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) retry_after: Option<Duration>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// `pause`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PauseArgs {
    /// When the pause ends by itself, up to 10m; a request waits for 30s at most
    #[arg(long = "for", value_name = "D", value_parser = duration, default_value = "30s")]
    pub(crate) length: Duration,
    #[command(flatten)]
    pub(crate) apps: AppsArgs,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}
