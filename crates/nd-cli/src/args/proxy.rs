//! `proxy`.

use std::net::IpAddr;

use clap::{Args, Subcommand};

/// What to do with the proxy.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ProxyVerb {
    /// Show its routes, and the apps and instances behind them
    Show,
    /// Show what it would do with a request, and why; nothing is sent to the app
    Test(ProxyTestArgs),
}

/// `proxy test`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProxyTestArgs {
    /// The address: https://app.example.com/path, or without its scheme
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The client's address, for the rules of access
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
}
