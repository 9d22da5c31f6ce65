//! Commands about the project's file and about the tool itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::{ArgValueCandidates, Shell};

use crate::candidates;

/// `config`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print the file as it is read: its environment laid over it, its variables replaced
    View {
        /// The file [default: nextdeploy.yml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Say what a key of the file does
    Explain {
        /// The key, or a part of it, as in app.port or healthcheck; all of them where it is left out
        #[arg(value_name = "KEY", add = ArgValueCandidates::new(candidates::keys))]
        key: Option<String>,
    },
}

/// `ecosystem`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EcosystemArgs {
    /// The app; all of them where it is left out
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
}

/// Commands of PM2 that have nothing to do here, with whatever they are called there.
#[derive(Clone, Debug, Args)]
pub(crate) struct UnneededArgs {
    /// Anything; it is not looked at
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) words: Vec<String>,
}

/// `explain`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code, as in ND1207; all of them where it is left out
    #[arg(value_name = "CODE", add = ArgValueCandidates::new(candidates::codes))]
    pub(crate) code: Option<String>,
}

/// `completion`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `man`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManArgs {
    /// The command whose page is printed, as in `deployments show`
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Write a page for every command where man(1) finds it
    #[arg(long, conflicts_with_all = ["command", "markdown"])]
    pub(crate) install: bool,
    /// Print the reference of every command as Markdown
    #[arg(long, conflicts_with = "command")]
    pub(crate) markdown: bool,
}
