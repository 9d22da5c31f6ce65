//! Where everything of one daemon is.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::options::Chosen;

/// The longest path of a unix socket that every system takes (`sun_path` is 108 bytes on Linux, less elsewhere).
const LONGEST_SOCKET: usize = 100;

/// Where everything of one daemon is.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Kept: state, logs, units.
    pub(crate) data: PathBuf,
    /// Gone with the machine: sockets.
    pub(crate) run: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
}

impl Paths {
    /// The paths for what was chosen; `--data-dir` moves all of them.
    pub(crate) fn new(chosen: &Chosen) -> io::Result<Self> {
        let data = match &chosen.data_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => default_data(),
        };
        let run = if chosen.data_dir.is_some() { data.join("run") } else { default_run() };
        let socket = match &chosen.socket {
            Some(socket) => std::path::absolute(socket)?,
            None if chosen.data_dir.is_some() => data.join("nextdeployd.sock"),
            None => run.join("nextdeployd.sock"),
        };
        let (run, socket) = (short_enough(run), short_socket(socket));
        Ok(Self { data, run, socket })
    }

    /// Makes the directories, for nobody else to read.
    pub(crate) fn create(&self) -> io::Result<()> {
        for dir in [
            &self.data,
            &self.run,
            &self.data.join("units"),
            &self.data.join("logs"),
            &self.data.join("docker"),
        ] {
            private_dir(dir)?;
        }
        match self.socket.parent() {
            Some(parent) if !parent.exists() => private_dir(parent),
            _ => Ok(()),
        }
    }

    /// The database of intent and history.
    pub(crate) fn state(&self) -> PathBuf {
        self.data.join("state.db")
    }

    /// The bearer token for TCP.
    pub(crate) fn token(&self) -> PathBuf {
        self.data.join("token")
    }
}

fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if std::fs::metadata(dir)?.permissions().mode() & 0o077 != 0
        && dir != Path::new("/run")
        && dir != Path::new("/tmp")
    {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn default_data() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/nextdeploy");
    }
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).unwrap_or_else(private_tmp).join("nextdeploy")
}

fn default_run() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run/nextdeploy");
    }
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(private_tmp, |dir| PathBuf::from(dir).join("nextdeploy"))
}

fn private_tmp() -> PathBuf {
    PathBuf::from(format!("/tmp/nextdeploy-{}", rustix::process::geteuid().as_raw()))
}

/// Sockets of units get 60 bytes of file name at most; a directory too deep for that moves to a short one.
fn short_enough(run: PathBuf) -> PathBuf {
    if run.as_os_str().as_bytes().len() + 60 <= LONGEST_SOCKET {
        run
    } else {
        private_tmp().join(digest(&run))
    }
}

fn short_socket(socket: PathBuf) -> PathBuf {
    if socket.as_os_str().as_bytes().len() <= LONGEST_SOCKET {
        return socket;
    }
    private_tmp().join(format!("{}.sock", digest(&socket)))
}

/// FNV-1a: the same long path always moves to the same short one.
fn digest(path: &Path) -> String {
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_that_is_too_long_moves_to_a_short_one() {
        let deep = PathBuf::from(format!("/{}/nextdeployd.sock", "d".repeat(200)));
        let moved = short_socket(deep.clone());
        assert!(moved.as_os_str().len() <= LONGEST_SOCKET);
        assert_eq!(moved, short_socket(deep));
        assert_eq!(short_socket(PathBuf::from("/run/a.sock")), PathBuf::from("/run/a.sock"));
    }
}
