//! A Caddy.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{listening, start};
use crate::free_address;

/// A Caddy with a site of its user, `user.localhost`, which answers `user`.
#[derive(Debug)]
pub struct CaddyServer {
    folder: TempDir,
    /// Where its user's site is.
    pub site: SocketAddr,
    /// Where it may serve others.
    pub http: SocketAddr,
    child: Option<Child>,
}

impl CaddyServer {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start() -> io::Result<Self> {
        let server =
            Self { folder: TempDir::new()?, site: free_address()?, http: free_address()?, child: None };
        server.started()
    }

    /// Starts one whose user has the site where others are to be served too.
    ///
    /// # Errors
    /// As [`CaddyServer::start`].
    pub fn start_shared() -> io::Result<Self> {
        let site = free_address()?;
        let server = Self { folder: TempDir::new()?, site, http: site, child: None };
        server.started()
    }

    fn started(mut self) -> io::Result<Self> {
        let admin = self.admin();
        let data = self.folder.path().join("data");
        let (ip, port) = (self.site.ip(), self.site.port());
        let text = format!(
            "{{\n\tadmin {admin}\n\tskip_install_trust\n\tstorage file_system {data}\n}}\n\
             http://user.localhost:{port} {{\n\tbind {ip}\n\trespond user\n}}\n",
            data = data.display()
        );
        fs::write(self.caddyfile(), text)?;
        self.launch()?;
        Ok(self)
    }

    /// Where its admin API listens, as in its own configuration.
    #[must_use]
    pub fn admin(&self) -> String {
        format!("unix/{}", self.folder.path().join("admin.sock").display())
    }

    /// Its user's own configuration.
    #[must_use]
    pub fn caddyfile(&self) -> PathBuf {
        self.folder.path().join("Caddyfile")
    }

    /// A directory that goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it from its own configuration, and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn launch(&mut self) -> io::Result<()> {
        let folder = self.folder.path();
        let log_file = folder.join("caddy.log");
        let log = File::options().create(true).append(true).open(&log_file)?;
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(self.caddyfile());
        for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(variable, folder);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(start(&mut command)?);
        listening(self.site, || fs::read_to_string(&log_file).unwrap_or_default())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for CaddyServer {
    fn drop(&mut self) {
        self.kill();
    }
}
