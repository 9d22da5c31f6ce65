//! Where the programs are that are driven.

use std::env;
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
