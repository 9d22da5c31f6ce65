//! What runs, and with how much of the machine.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use nd_types::{ByteSize, Upstream};

/// What a unit runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A container of this image.
    Image(ImageSpec),
    /// A plain process.
    Command(CommandSpec),
    /// A server that something else runs.
    External(Upstream),
}

/// What it is, for people: an image's reference, a command line, the address of a server.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => f.write_str(&image.reference),
            Self::Command(command) => f.write_str(&command.argv.join(" ")),
            Self::External(upstream) => upstream.fmt(f),
        }
    }
}

/// A container image and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSpec {
    /// The reference as the user wrote it, as in `node:22` or `registry.example.com/shop@sha256:…`.
    pub reference: String,
    /// What runs in place of the image's entrypoint, and then without the image's command; an empty one runs `command`
    /// alone. The image's own when absent.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments that replace the image's own command; empty keeps it.
    pub command: Vec<String>,
    /// The directory inside the container; the image's own when absent.
    pub working_dir: Option<String>,
    /// `user[:group]` inside the container; the image's own when absent.
    pub user: Option<String>,
    /// Names beside the app's under which other containers reach it.
    pub aliases: Vec<String>,
}

impl ImageSpec {
    /// The image as it is.
    #[must_use]
    pub fn new(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), ..Self::default() }
    }
}

/// A command of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// The directory it runs in.
    pub cwd: PathBuf,
    /// The user it runs as; the daemon's own when absent.
    pub user: Option<String>,
    /// The `PATH` that finds the program and that it sees; kept in the release so that a restart finds the same one.
    pub path: Option<String>,
}

/// Limits of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of one core.
    pub cpu_millis: Option<NonZeroU32>,
    /// Memory.
    pub memory: Option<ByteSize>,
    /// Processes and threads.
    pub pids: Option<NonZeroU32>,
}

/// A directory that outlives a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// What is mounted.
    pub source: VolumeSource,
    /// Where the unit sees it: an absolute path.
    pub target: String,
    /// Whether the unit may not write to it.
    pub read_only: bool,
}

/// What a volume mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A named volume of the engine.
    Named(String),
    /// An absolute path of the host.
    Path(PathBuf),
}
