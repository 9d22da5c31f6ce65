//! `monit`.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::check::pause;
use crate::candidates;

/// `monit`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct MonitArgs {
    /// The app that is selected first
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) app: Option<String>,
    /// The app that is selected first
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", conflicts_with = "app", id = "monit_name", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    /// Print plain rows, once
    #[arg(long)]
    pub(crate) once: bool,
    /// The pause between two looks: seconds, or a duration as in 1m; without a terminal rows are printed after each
    #[arg(long, value_name = "SECONDS", value_parser = pause)]
    pub(crate) interval: Option<Duration>,
}
