//! `domains`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use crate::candidates;

/// What to do with domains.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DomainsVerb {
    /// List the domains that lead to apps, and how their certificates stand
    #[command(visible_alias = "list")]
    Ls(DomainListArgs),
}

/// `domains ls`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DomainListArgs {
    /// Those of this app alone
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) app: Option<String>,
}
