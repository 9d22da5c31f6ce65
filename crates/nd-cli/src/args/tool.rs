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

/// `import`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImportVerb {
    /// Make it of an ecosystem file of PM2: JSON, YAML, or JavaScript, which is run with your own node
    Pm2(ImportArgs),
    /// Make it of a file of Docker Compose
    Compose {
        #[command(flatten)]
        args: ImportArgs,
        /// Take the services of this profile too [env: COMPOSE_PROFILES]
        #[arg(long, value_name = "NAME")]
        profile: Vec<String>,
    },
}

/// `import pm2`, `import compose`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file to write, or `-` for standard output [default: nextdeploy.yml beside the one that is read]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `ecosystem`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EcosystemArgs {
    /// An ecosystem file of PM2 to import
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The app; all of them where it is left out
    #[arg(short = 'a', long, visible_alias = "app", alias = "appName", value_name = "NAME", conflicts_with = "file", add = ArgValueCandidates::new(candidates::apps))]
    pub(crate) name: Option<String>,
    /// The file to write, or `-` for standard output [default: nextdeploy.yml beside the one that is read]
    #[arg(short, long, value_name = "FILE", requires = "file")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
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
