//! `domains`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use super::verbs::WaitFlags;
use crate::candidates;

/// What to do with domains.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DomainsVerb {
    /// List the domains that lead to apps, and how their certificates stand
    #[command(visible_alias = "list")]
    Ls(DomainListArgs),
    /// Let domains lead to an app from now on, while its instances run on; certificates follow by themselves
    Add(DomainAddArgs),
    /// Let domains lead to an app no more, while its instances run on
    #[command(visible_alias = "remove")]
    Rm(DomainRmArgs),
    /// Look at domains as their visitors find them: in the DNS, at ports 80 and 443; exit code 8 when one does not serve
    Check(DomainCheckArgs),
}

/// `domains ls`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DomainListArgs {
    /// Those of this app alone
    #[arg(value_name = "APP", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) app: Option<String>,
}

/// `domains check`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DomainCheckArgs {
    /// Those of this app alone, or this domain, which need not lead to an app yet
    #[arg(value_name = "APP|DOMAIN", add = ArgValueCandidates::new(candidates::apps_and_domains))]
    pub(crate) word: Option<String>,
}

/// `domains add`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DomainAddArgs {
    /// The app, unless the project in this directory is meant; then the domains: www.example.com, or *.example.com for all
    /// names below
    #[arg(value_name = "APP DOMAIN", required = true, add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) words: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// `domains rm`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DomainRmArgs {
    /// The app, unless the project in this directory is meant; then the domains
    #[arg(value_name = "APP DOMAIN", required = true, add = ArgValueCandidates::new(candidates::apps_and_domains))]
    pub(crate) words: Vec<String>,
    /// The app
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}
