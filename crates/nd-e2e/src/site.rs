//! Where a daemon of one's own is: a directory, addresses and ports that no other one has.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
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
    _ports: Ports,
}

/// Ports that no other site has.
#[derive(Debug)]
struct Ports {
    /// For plain processes.
    first: u16,
    last: u16,
    /// For the daemon.
    own: [u16; 2],
    /// Held, and so it claims all of them.
    _claim: TcpListener,
}

/// How many ports a site has, the one that claims them included: the benches start fifty apps.
const PORTS: u16 = 100;

/// Below the ports that a daemon takes by itself, and those that Linux gives to clients: nobody gets one by chance while a
/// daemon starts anew.
const FIRST_PORTS: std::ops::Range<u16> = 10_000..20_000;

impl Site {
    /// An empty one.
    ///
    /// # Errors
    /// When there is no room or no free port.
    pub fn new() -> Result<Self> {
        // Short, because the path of a unix socket has little room.
        let folder = tempfile::Builder::new().prefix("nd-").tempdir_in("/tmp")?;
        let ports = Ports::claim()?;
        let [api, http] = ports.own.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let settings = format!("[process]\nfirst_port = {}\nlast_port = {}\n", ports.first, ports.last);
        let site = Self { folder, api, http, _ports: ports };
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
            let [last, api, http, claim] = [4, 3, 2, 1].map(|behind| first + PORTS - behind);
            let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::LOCALHOST, claim))
                && is_free(api)
                && is_free(http)
            {
                return Ok(Self { first, last, own: [api, http], _claim: claim });
            }
        }
        Err("no free ports for plain processes".into())
    }
}
