//! Where a daemon of one's own is: a directory, addresses and ports that no other one has.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Result;

/// A directory and addresses for one daemon after the other.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    /// Where the API listens on TCP.
    pub api: SocketAddr,
    /// Where the proxy listens.
    pub http: SocketAddr,
    ports: Ports,
}

/// Ports for plain processes that no other site has. The last one is held, and so claims all.
#[derive(Debug)]
struct Ports {
    first: u16,
    claim: TcpListener,
}

/// How many ports a site has for plain processes, the one that claims them included: the benches start fifty apps.
const PORTS: u16 = 100;

/// Below the ports that a daemon takes by itself.
const FIRST_PORTS: std::ops::Range<u16> = 10_000..20_000;

impl Site {
    /// An empty one.
    ///
    /// # Errors
    /// When there is no room or no free port.
    pub fn new() -> Result<Self> {
        // Short, because the path of a unix socket has little room.
        let folder = tempfile::Builder::new().prefix("nd-").tempdir_in("/tmp")?;
        let [api, http] = free_addresses()?;
        let site = Self { folder, api, http, ports: Ports::claim()? };
        let last = site.ports.claim.local_addr()?.port() - 1;
        let settings = format!("[process]\nfirst_port = {}\nlast_port = {last}\n", site.ports.first);
        fs::write(site.settings(), settings)?;
        Ok(site)
    }

    /// One whose daemons have a proxy in processes of its own.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn with_own_proxy() -> Result<Self> {
        Self::with_settings("[proxy]\nown_process = true\n")
    }

    /// One whose `nextdeployd.toml` says this besides.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn with_settings(more: &str) -> Result<Self> {
        let site = Self::new()?;
        let mut settings = OpenOptions::new().append(true).open(site.settings())?;
        write!(settings, "\n{more}")?;
        Ok(site)
    }

    /// What the daemon keeps.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place for files of the test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The daemon's `nextdeployd.toml`.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("nextdeployd.toml")
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data().join("nextdeployd.sock")
    }

    /// What the daemons have written.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }
}

impl Ports {
    fn claim() -> Result<Self> {
        for first in FIRST_PORTS.step_by(PORTS.into()) {
            if let Ok(claim) = TcpListener::bind(("127.0.0.1", first + PORTS - 1)) {
                return Ok(Self { first, claim });
            }
        }
        Err("no free ports for plain processes".into())
    }
}

/// Two ports of loopback that are free now.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let first = TcpListener::bind("127.0.0.1:0")?;
    let second = TcpListener::bind("127.0.0.1:0")?;
    Ok([first.local_addr()?, second.local_addr()?])
}
