//! One step of an installation.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something to do; doing it twice is doing it once.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A file is to be there with this content.
    Place { path: PathBuf, source: Source },
    /// A file is not to be there.
    Remove(PathBuf),
    /// A directory is not to be there, with all that is in it.
    RemoveTree(PathBuf),
    /// A group of the system is to be there.
    Group(&'static str),
    /// A command is to be run; `must` says whether its failure is one.
    Run { argv: Vec<&'static str>, must: bool },
}

/// What is placed.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A text for everybody to read.
    Text(String),
    /// A program for everybody to run.
    Program(PathBuf),
}

impl Step {
    pub(super) fn run(argv: &[&'static str]) -> Self {
        Self::Run { argv: argv.to_vec(), must: true }
    }

    /// A command that may find nothing to do.
    pub(super) fn try_run(argv: &[&'static str]) -> Self {
        Self::Run { argv: argv.to_vec(), must: false }
    }

    /// Takes the step, and says what it did.
    pub(super) fn take(&self) -> io::Result<String> {
        match self {
            Self::Place { path, source } => place(path, source),
            Self::Remove(path) => removed(path, fs::remove_file(path)),
            Self::RemoveTree(path) => removed(path, fs::remove_dir_all(path)),
            Self::Group(name) => group(name),
            Self::Run { argv, must } => run(argv, *must),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { path, .. } => write!(f, "place {}", path.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::RemoveTree(path) => write!(f, "remove {} with all that is in it", path.display()),
            Self::Group(name) => write!(f, "make the group {name}, whose members may use the daemon"),
            Self::Run { argv, .. } => write!(f, "run {}", argv.join(" ")),
        }
    }
}

fn place(path: &Path, source: &Source) -> io::Result<String> {
    let (content, mode) = match source {
        Source::Text(text) => (text.clone().into_bytes(), 0o644),
        Source::Program(program) => (fs::read(program)?, 0o755),
    };
    let was = fs::read(path).ok();
    let same_mode = || fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o777 == mode);
    if was.as_ref() == Some(&content) && same_mode() {
        return Ok(format!("{} is as it should be", path.display()));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Beside its place and moved there: a program that runs cannot be written over, and half a unit is none.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, content)?;
    fs::set_permissions(&beside, Permissions::from_mode(mode))?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, path)?;
    let done = if was.is_some() { "replaced" } else { "placed" };
    Ok(format!("{done} {}", path.display()))
}

fn removed(path: &Path, result: io::Result<()>) -> io::Result<String> {
    match result {
        Ok(()) => Ok(format!("removed {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(format!("{} is not there", path.display()))
        }
        Err(error) => Err(error),
    }
}

fn group(name: &str) -> io::Result<String> {
    let groups = fs::read_to_string("/etc/group")?;
    if groups.lines().any(|line| line.split(':').next() == Some(name)) {
        return Ok(format!("the group {name} is as it should be"));
    }
    let status = Command::new("groupadd").args(["--system", name]).status()?;
    if status.success() {
        Ok(format!("made the group {name}"))
    } else {
        Err(io::Error::other(format!("groupadd: {status}")))
    }
}

fn run(argv: &[&str], must: bool) -> io::Result<String> {
    let line = argv.join(" ");
    let Some((program, arguments)) = argv.split_first() else { return Ok(line) };
    let out = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    match (out.status.success(), must) {
        (true, _) => Ok(format!("ran {line}")),
        (false, false) => Ok(format!("ran {line}: {said}")),
        (false, true) => Err(io::Error::other(format!("{}: {said}", out.status))),
    }
}
