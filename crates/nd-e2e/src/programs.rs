//! Where the programs are that are driven.

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use crate::Result;

/// The programs that are driven.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `nextdeployd`.
    pub daemon: PathBuf,
    /// `nextdeploy`.
    pub cli: PathBuf,
    /// The static test application.
    pub testapp: PathBuf,
}

impl Programs {
    /// The programs that `ND_DAEMON`, `ND_CLI` and `ND_TESTAPP` name, as `cargo xtask test` sets them.
    ///
    /// # Errors
    /// When one is not set or not there, with what to type.
    pub fn from_env() -> Result<Self> {
        Ok(Self { daemon: named("ND_DAEMON")?, cli: named("ND_CLI")?, testapp: named("ND_TESTAPP")? })
    }
}

/// Whether a command is in `PATH`. What is not tried without it is told where it is not.
#[must_use]
pub fn has(program: &str, what: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return true;
    }
    not_tried(what, &format!("`{program}` is not in PATH"));
    false
}

/// Tells what is not tried: aloud, and in the file that `ND_NOT_TRIED` names, whose lines `cargo xtask test` shows at its
/// end.
#[allow(clippy::print_stderr, reason = "the output of a test that tries less than it could")]
pub fn not_tried(what: &str, why: &str) {
    let line = format!("{what}: {why}\n");
    eprint!("not tried: {line}");
    if let Some(file) = env::var_os("ND_NOT_TRIED") {
        let told = File::options().create(true).append(true).open(file);
        // What cannot be counted was said aloud.
        told.and_then(|mut file| file.write_all(line.as_bytes())).ok();
    }
}

fn named(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from).ok_or_else(|| {
        format!(
            "{variable} is not set: run `cargo xtask test nd-e2e`, which builds the programs and names them"
        )
    })?;
    match path.is_file() {
        true => Ok(path),
        false => {
            Err(format!("{variable}={} is no file: run `cargo xtask test nd-e2e`", path.display()).into())
        }
    }
}
