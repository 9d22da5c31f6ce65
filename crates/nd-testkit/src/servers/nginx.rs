//! An nginx.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{listening, start, until};
use crate::free_address;

/// An nginx with a site of its user, `user.localhost`, which answers `user`.
#[derive(Debug)]
pub struct NginxServer {
    folder: TempDir,
    /// Where its user's site is.
    pub site: SocketAddr,
    /// Where it may serve others.
    pub http: SocketAddr,
    child: Option<Child>,
}

impl NginxServer {
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
    /// As [`NginxServer::start`].
    pub fn start_shared() -> io::Result<Self> {
        let site = free_address()?;
        let server = Self { folder: TempDir::new()?, site, http: site, child: None };
        server.started()
    }

    fn started(mut self) -> io::Result<Self> {
        let folder = self.folder.path();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = temporary
            .iter()
            .map(|kind| format!("\t{kind}_temp_path {}/{kind};\n", folder.display()))
            .collect();
        fs::create_dir(self.ours())?;
        let text = format!(
            "worker_processes 2;\ndaemon off;\npid {pid};\nerror_log {folder}/error.log notice;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\taccess_log off;\n{temporary}\tinclude {folder}/user.conf;\n\tinclude {ours}/*.conf;\n}}\n",
            pid = self.pid_file().display(),
            folder = folder.display(),
            ours = self.ours().display(),
        );
        fs::write(self.config(), text)?;
        let site =
            format!("server {{ listen {}; server_name user.localhost; return 200 user; }}\n", self.site);
        fs::write(self.users_config(), site)?;
        self.launch()?;
        Ok(self)
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("nginx.conf")
    }

    /// The part of its configuration that is its user's site.
    #[must_use]
    pub fn users_config(&self) -> PathBuf {
        self.folder.path().join("user.conf")
    }

    /// The directory whose files it includes.
    #[must_use]
    pub fn ours(&self) -> PathBuf {
        self.folder.path().join("ours")
    }

    /// Where it keeps the id of its process.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.folder.path().join("nginx.pid")
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
        let log = self.folder.path().join("error.log");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(self.config()).arg("-p").arg(self.folder.path()).arg("-e").arg(&log);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(start(&mut command)?);
        listening(self.site, || fs::read_to_string(&log).unwrap_or_default())
    }

    /// Ends it with its workers.
    pub fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Its workers go with it only when it is asked to end.
        let mut stop = Command::new("nginx");
        stop.arg("-c").arg(self.config()).arg("-p").arg(self.folder.path()).args(["-s", "stop"]);
        stop.stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
        let ended = until("end of nginx", || !matches!(child.try_wait(), Ok(None)));
        if ended.is_err() {
            child.kill().ok();
        }
        child.wait().ok();
    }
}

impl Drop for NginxServer {
    fn drop(&mut self) {
        self.end();
    }
}
