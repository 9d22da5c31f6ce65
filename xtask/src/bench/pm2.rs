//! PM2, where it is installed: the peer of plain processes.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nd_e2e::{Target, has_ended, kill, resident_bytes, until};
use rustix::process::Signal;
use serde_json::json;

use super::ms;
use super::stage::{LIMIT, answers};
use crate::Result;

/// A PM2 daemon of one's own; gone when dropped.
#[derive(Debug)]
pub(super) struct Pm2 {
    home: tempfile::TempDir,
}

impl Pm2 {
    /// One of one's own; `None` where `pm2` is not on the PATH.
    pub(super) fn find() -> Option<Self> {
        let pm2 = Self { home: tempfile::tempdir().ok()? };
        pm2.run(&["--version"], None).ok().map(|_| pm2)
    }

    /// Starts the test application and waits until it answers; gives where.
    pub(super) fn start(&self, app: &str, program: &Path) -> Result<Target> {
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let program = program.to_str().ok_or("the program's path is not UTF-8")?;
        self.run(&["start", program, "--name", app], Some(address.port()))?;
        let target = Target::Tcp(address);
        answers(&target, app)?;
        Ok(target)
    }

    /// From SIGKILL to the next good answer, in milliseconds.
    pub(super) fn recovery(&self, app: &str, target: &Target) -> Result<f64> {
        let pid = self.run(&["pid", app], None)?.trim().parse()?;
        let killed = Instant::now();
        kill(pid, Signal::KILL);
        until("the end of the app", LIMIT, || has_ended(pid))?;
        answers(target, app)?;
        Ok(ms(killed.elapsed()))
    }

    pub(super) fn delete(&self, app: &str) -> Result {
        self.run(&["delete", app], None).map(drop)
    }

    /// Starts so many test applications.
    pub(super) fn start_many(&self, count: usize, program: &Path) -> Result {
        let apps = (0..count).map(|app| {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            Ok(json!({"name": format!("app-{app}"), "script": program, "env": {"PORT": port.to_string()}}))
        });
        let file = self.home.path().join("apps.json");
        std::fs::write(&file, json!({ "apps": apps.collect::<Result<Vec<_>>>()? }).to_string())?;
        let file = file.to_str().ok_or("the temporary directory is not UTF-8")?;
        self.run(&["start", file], None).map(drop)
    }

    /// The memory that its daemon keeps resident, in bytes.
    pub(super) fn resident(&self) -> Option<u64> {
        let pid = std::fs::read_to_string(self.home.path().join("pm2.pid")).ok()?;
        resident_bytes(pid.trim().parse().ok()?)
    }

    fn run(&self, words: &[&str], port: Option<u16>) -> Result<String> {
        let mut command = Command::new("pm2");
        command.args(words).env("PM2_HOME", self.home.path()).stdin(Stdio::null());
        command.envs(port.map(|port| ("PORT", port.to_string())));
        let output = command.output()?;
        if !output.status.success() {
            return Err(
                format!("pm2 {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Pm2 {
    fn drop(&mut self) {
        self.run(&["kill"], None).ok();
    }
}
