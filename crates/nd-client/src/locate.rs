//! Finding the daemon, and the token that its TCP port asks for.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::host::Host;

/// Where the daemon is, and how that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where it is.
    pub host: Host,
    /// How that was found out.
    pub origin: Origin,
}

/// How it was found out where the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody said so.
    Given,
    /// The socket of the user's own daemon.
    Own,
    /// The socket of the machine's daemon.
    System,
}

const SYSTEM_SOCKET: &str = "/run/nextdeploy/nextdeployd.sock";

/// The daemon that was named; else the user's own one where its socket exists, else the machine's one.
#[must_use]
pub fn locate(given: Option<Host>) -> Located {
    if let Some(host) = given {
        return Located { host, origin: Origin::Given };
    }
    let system = PathBuf::from(SYSTEM_SOCKET);
    let own = own_run_dir().join("nextdeployd.sock");
    // Neither is there: the message names the one that this user would start.
    let take_own = if is_mine(&own) { true } else { !is_root() && !system.exists() };
    let (path, origin) = if take_own { (own, Origin::Own) } else { (system, Origin::System) };
    Located { host: Host::Unix(path), origin }
}

/// The file in which a daemon of this user keeps its API token.
#[must_use]
pub fn token_file() -> PathBuf {
    if is_root() {
        return PathBuf::from("/var/lib/nextdeploy/token");
    }
    let base = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).unwrap_or_else(private_tmp).join("nextdeploy/token")
}

fn own_run_dir() -> PathBuf {
    if is_root() {
        return PathBuf::from("/run/nextdeploy");
    }
    env::var_os("XDG_RUNTIME_DIR").map_or_else(private_tmp, |dir| PathBuf::from(dir).join("nextdeploy"))
}

fn private_tmp() -> PathBuf {
    PathBuf::from(format!("/tmp/nextdeploy-{}", rustix::process::geteuid().as_raw()))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// In `/tmp` anybody may lay out a socket of this name; only one of this user is answered to.
fn is_mine(socket: &Path) -> bool {
    fs::symlink_metadata(socket).is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
}
