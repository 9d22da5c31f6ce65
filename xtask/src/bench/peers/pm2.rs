//! PM2: the peer of plain processes.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use nd_e2e::{Target, Typed};
use serde_json::json;

use super::Peer;
use crate::Result;
use crate::bench::stage::{LIMIT, answers};

/// A PM2 daemon of one's own; gone when dropped.
#[derive(Debug)]
pub(in crate::bench) struct Pm2 {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Pm2 {
    /// Starts the daemon of the `pm2` in this folder.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let pm2 = Self { program: folder.join("pm2"), home: tempfile::tempdir()? };
        pm2.run(&["ping"], &[])?;
        Ok(pm2)
    }

    /// Starts so many test applications and waits until each answers.
    pub(in crate::bench) fn start_many(&self, count: usize, program: &Path) -> Result {
        let addresses = (0..count).map(|_| free_address()).collect::<Result<Vec<_>>>()?;
        let apps = addresses.iter().enumerate().map(|(app, address)| {
            let port = address.port().to_string();
            json!({"name": format!("app-{app}"), "script": program, "env": {"PORT": port}})
        });
        let file = self.home.path().join("apps.json");
        fs::write(&file, json!({ "apps": apps.collect::<Vec<_>>() }).to_string())?;
        self.run(&["start", &file.to_string_lossy()], &[])?;
        addresses.into_iter().try_for_each(|address| answers(&Target::Tcp(address), "bare"))
    }

    /// Starts the test application with more variables.
    pub(in crate::bench) fn start_with(
        &self,
        app: &str,
        program: &Path,
        variables: &[(&str, &str)],
    ) -> Result<Target> {
        let address = free_address()?;
        let port = address.port().to_string();
        let variables = [&[("PORT", port.as_str())], variables].concat();
        self.run(&["start", &program.to_string_lossy(), "--name", app], &variables)?;
        let target = Target::Tcp(address);
        answers(&target, app)?;
        Ok(target)
    }

    /// The process of its daemon.
    pub(in crate::bench) fn pid(&self) -> Result<i32> {
        Ok(fs::read_to_string(self.home.path().join("pm2.pid"))?.trim().parse()?)
    }

    /// What an app has written to stdout, as PM2 keeps it.
    pub(in crate::bench) fn output(&self, app: &str) -> PathBuf {
        self.home.path().join("logs").join(format!("{app}-out.log"))
    }

    fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Result {
        let home = self.home.path().to_string_lossy();
        let variables = [&[("PM2_HOME", home.as_ref())], variables].concat();
        Typed::start(&self.program, words, self.home.path(), &variables)?.wait(LIMIT)?.ok()?;
        Ok(())
    }
}

impl Peer for Pm2 {
    fn name(&self) -> &'static str {
        "PM2"
    }

    fn start(&self, app: &str, program: &Path) -> Result<Target> {
        self.start_with(app, program, &[])
    }

    fn stop(&self, app: &str) -> Result {
        self.run(&["delete", app], &[])
    }
}

impl Drop for Pm2 {
    fn drop(&mut self) {
        self.run(&["kill"], &[]).ok();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
