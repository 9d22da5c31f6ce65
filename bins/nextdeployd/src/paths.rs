//! Where everything of one daemon is.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::certs;
use crate::options::Chosen;

/// The longest path of a unix socket that every system takes (`sun_path` is 108 bytes on Linux, less elsewhere).
const LONGEST_SOCKET: usize = 100;

/// Where everything of one daemon is.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// Kept: state, logs, units.
    pub(crate) data: PathBuf,
    /// Certificates and keys, unless the settings say otherwise.
    pub(crate) certs: PathBuf,
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
        let is_systems = chosen.data_dir.is_none() && rustix::process::geteuid().is_root();
        Ok(Self { certs: certs::dir(&data, is_systems), data, run, socket })
    }

    /// Makes the directories, for nobody else to read. Through that of the sockets others may pass: the members of the
    /// group to the control socket, and nobody to any other, each of which is private by itself.
    pub(crate) fn create(&self) -> io::Result<()> {
        for dir in ["", "units", "logs", "docker", "requests"] {
            dir_of_ours(&self.data.join(dir), 0o700)?;
        }
        dir_of_ours(&self.run, 0o711)?;
        match self.socket.parent() {
            Some(parent) if !parent.exists() => dir_of_ours(parent, 0o711),
            _ => Ok(()),
        }
    }

    /// The database of intent and history.
    pub(crate) fn state(&self) -> PathBuf {
        self.data.join("state.db")
    }

    /// The log of requests.
    pub(crate) fn requests(&self) -> PathBuf {
        self.data.join("requests")
    }

    /// The bearer token for TCP.
    pub(crate) fn token(&self) -> PathBuf {
        self.data.join("token")
    }
}

/// A directory with this mode; its parents, where they are made, are for nobody else.
fn dir_of_ours(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let is_shared = [Path::new("/run"), Path::new("/tmp")].contains(&dir);
    if !is_shared && std::fs::metadata(dir)?.permissions().mode() & 0o777 != mode {
        std::fs::set_permissions(dir, Permissions::from_mode(mode))?;
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
    fn the_group_reaches_the_control_socket_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("nextdeployd-paths-{}", std::process::id()));
        let (data, run) = (folder.join("data"), folder.join("run"));
        let paths = Paths {
            certs: data.join("certs"),
            data: data.clone(),
            socket: run.join("nextdeployd.sock"),
            run: run.clone(),
        };
        let mode = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o777;
        paths.create().unwrap();
        assert_eq!((mode(&data), mode(&data.join("units")), mode(&run)), (0o700, 0o700, 0o711));
        // A service manager made it with another mode.
        std::fs::set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
        paths.create().unwrap();
        assert_eq!(mode(&run), 0o711);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_socket_path_that_is_too_long_moves_to_a_short_one() {
        let deep = PathBuf::from(format!("/{}/nextdeployd.sock", "d".repeat(200)));
        let moved = short_socket(deep.clone());
        assert!(moved.as_os_str().len() <= LONGEST_SOCKET);
        assert_eq!(moved, short_socket(deep));
        assert_eq!(short_socket(PathBuf::from("/run/a.sock")), PathBuf::from("/run/a.sock"));
    }
}
