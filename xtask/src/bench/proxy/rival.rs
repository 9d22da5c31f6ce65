//! The proxies, and the server behind all of them, which is an app of ours.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nd_e2e::{Daemon, Options, Programs, Site, Target, cpu_time, descendants, runs_as_root};
use rustix::process::Signal;
use serde_json::json;

use super::super::stage::answers;
use super::super::step;
use super::config;
use super::load::{LARGE, Load, OTHER_CPU, PROXY_CPU};
use super::tls::Certificate;
use crate::{Result, process};

pub(super) const NGINX: &str = "nginx";
pub(super) const HAPROXY: &str = "HAProxy";

/// The name that ours knows the server by; clients that say it in a handshake have to find its address.
pub(super) const HOST: &str = "localhost";

/// A program in a folder of its own, ended when dropped.
struct Running {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Starts `words` on a processor; `{}` in them is the file with `config`.
    fn start(cpu: &str, words: &[&str], config: impl Fn(&Path) -> String) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config");
        fs::write(&file, config(folder.path()))?;
        let mut command = Command::new("taskset");
        command.args(["-c", cpu]).env("GOMAXPROCS", "1").env("HOME", folder.path());
        for word in words {
            command.arg(word.replace("{}", &file.display().to_string()));
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: quiet.spawn()?, _folder: folder })
    }

    /// `taskset` becomes what it starts.
    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        nd_e2e::kill(self.pid(), Signal::TERM);
        self.child.wait().ok();
    }
}

/// Somebody else's proxy.
pub(super) struct Rival {
    pub(super) name: &'static str,
    http: SocketAddr,
    h2c: SocketAddr,
    tls: SocketAddr,
    running: Running,
}

/// All that are to be had; nginx is one of them.
pub(super) fn all(at: SocketAddr, certificate: &Certificate) -> Result<Vec<Rival>> {
    let mut rivals = vec![Rival::start(NGINX, &["nginx", "-c", "{}"], |folder, ports| {
        config::nginx(folder, ports, at, certificate)
    })?];
    if process::in_path("haproxy") {
        let words = ["haproxy", "-W", "-f", "{}"];
        rivals.push(Rival::start(HAPROXY, &words, |_, ports| config::haproxy(ports, at, certificate))?);
    } else {
        step("no haproxy in PATH: its figures are left out (apt-get install haproxy)");
    }
    if process::in_path("caddy") {
        let words = ["caddy", "run", "--adapter", "caddyfile", "--config", "{}"];
        rivals.push(Rival::start("Caddy", &words, |_, ports| config::caddy(ports, at, certificate))?);
    } else {
        step("no caddy in PATH: its figures are left out (apt-get install caddy)");
    }
    Ok(rivals)
}

impl Rival {
    fn start(
        name: &'static str,
        words: &[&str],
        config: impl Fn(&Path, [SocketAddr; 3]) -> String,
    ) -> Result<Self> {
        let ports = [free()?, free()?, free()?];
        let running = Running::start(PROXY_CPU, words, |folder| config(folder, ports))?;
        let [http, h2c, tls] = ports;
        answers(&Target::Tcp(http), "server").map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, http, h2c, tls, running })
    }

    pub(super) fn load(&self) -> Load {
        Load { http: self.http, h2c: self.h2c, tls: self.tls, host: HOST }
    }

    pub(super) fn cpu(&self) -> Duration {
        let root = self.running.pid();
        total(&[vec![root], descendants(root)].concat())
    }
}

/// Ours, as it is installed: the daemon, and the proxy in processes of its own. Its app is the server behind all of them.
pub(super) struct Ours {
    daemon: Daemon,
    tls: SocketAddr,
    pub(super) server: SocketAddr,
}

impl Ours {
    pub(super) fn start(programs: &Programs, certificate: &Certificate) -> Result<Self> {
        let (site, tls) = (Site::with_own_proxy()?, free()?);
        let settings = fs::read_to_string(site.settings())?;
        fs::write(
            site.settings(),
            format!("https = \"{tls}\"\n{settings}workers = 1\naccess_log = \"json\"\n"),
        )?;
        let daemon = Daemon::start_at(site, programs, Options::default())?;
        let ours = Self { daemon, tls, server: free()? };
        ours.serve(certificate)?;
        for pid in ours.processes() {
            let pid = pid.to_string();
            let words = ["--all-tasks", "--pid", "--cpu-list", PROXY_CPU, &pid];
            process::output(Command::new("taskset").args(words))?;
        }
        Ok(ours)
    }

    fn serve(&self, certificate: &Certificate) -> Result {
        let folder = self.daemon.site().folder().join("server");
        fs::create_dir(&folder)?;
        fs::write(folder.join("large"), vec![b'x'; LARGE])?;
        let file = folder.join("config");
        fs::write(&file, config::server(&folder, self.server))?;
        let manifest = json!({
            "version": "1.0",
            "app": {"name": "server", "port": self.server.port(), "domain": HOST},
            "command": ["taskset", "-c", OTHER_CPU, "nginx", "-c", file],
            "ssl": {"certificate": certificate.chain(), "key": certificate.key(), "redirect": false, "hsts": {"enabled": false}},
            "user": runs_as_root().then_some("root"),
        });
        let body = json!({"manifest": manifest, "base_dir": folder}).to_string();
        let answer = self.daemon.api_post("/api/v1/apps/server/deployments", &body)?;
        if answer.status >= 300 {
            return Err(format!("deploy the server: {}", answer.text()).into());
        }
        answers(&Target::Tcp(self.daemon.site().http), HOST)
    }

    pub(super) fn load(&self) -> Load {
        let http = self.daemon.site().http;
        Load { http, h2c: http, tls: self.tls, host: HOST }
    }

    pub(super) fn cpu(&self) -> Duration {
        total(&self.processes())
    }

    /// Holder and worker.
    pub(super) fn proxy(&self) -> Vec<i32> {
        self.daemon.proxies("proxy")
    }

    /// The process that serves.
    pub(super) fn worker(&self) -> Option<i32> {
        self.daemon.proxies("--worker").first().copied()
    }

    fn processes(&self) -> Vec<i32> {
        self.proxy().into_iter().chain(self.daemon.pid()).collect()
    }
}

fn total(pids: &[i32]) -> Duration {
    pids.iter().filter_map(|pid| cpu_time(*pid)).sum()
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
