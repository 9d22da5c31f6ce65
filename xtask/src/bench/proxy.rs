//! What a request through the proxy costs, beside nginx in front of the same app.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Target, cpu_time, descendants, until};
use rustix::process::Signal;

use super::stage::{Bare, LIMIT, answers};
use super::{Bench, Figure, Report, median, step};
use crate::{Result, process};

const CLIENTS: usize = 64;
const ROUND: Duration = Duration::from_secs(4);

pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result {
    let (programs, rounds) = (&bench.programs, bench.rounds);
    if !process::in_path("nginx") {
        step("no nginx in PATH: the proxy is measured without its reference (apt-get install nginx-light)");
    }
    step(&format!("{rounds} rounds of {CLIENTS} connections through the proxy"));
    let daemon = Daemon::start(programs, Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let upstream = Bare::start(&programs.testapp)?;
    let nginx = if process::in_path("nginx") { Some(Nginx::start(&upstream.target)?) } else { None };
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(round(&target, &host, "v1", &[daemon.pid().ok_or("the daemon is gone")?])?);
        if let Some(nginx) = &nginx {
            reference.push(round(&nginx.target, "bare", "unset", &nginx.processes())?);
        }
    }
    let figure = Figure::new("proxy: CPU per 10 000 requests", median(ours), "s");
    report.add(match nginx {
        Some(_) => figure.beside("nginx:", median(reference)),
        None => figure,
    });
    Ok(())
}

/// CPU seconds of these processes for 10 000 requests.
fn round(target: &Target, host: &str, release: &str, pids: &[i32]) -> Result<f64> {
    let used = || pids.iter().filter_map(|pid| cpu_time(*pid)).sum::<Duration>();
    let mut load = Load::new(target, host, &[release]);
    load.requests(CLIENTS, Duration::ZERO)?;
    until("warm connections", LIMIT, || load.tally().sent > 2_000)?;
    let (begun, cpu, sent) = (Instant::now(), used(), load.tally().sent);
    until("the round", LIMIT, || begun.elapsed() >= ROUND)?;
    let (cpu, sent) = (used() - cpu, load.tally().sent - sent);
    let failures = load.failures();
    match load.stop().failed {
        0 => Ok(cpu.as_secs_f64() * 10_000.0 / sent as f64),
        failed => Err(format!("{failed} requests failed: {failures:?}").into()),
    }
}

struct Nginx {
    master: Child,
    target: Target,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start(upstream: &Target) -> Result<Self> {
        let Target::Tcp(upstream) = upstream else { return Err("the upstream is no TCP address".into()) };
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config(folder.path(), address, *upstream))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).stdin(Stdio::null());
        let master = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let nginx = Self { master, target: Target::Tcp(address), _folder: folder };
        answers(&nginx.target, "bare")?;
        Ok(nginx)
    }

    fn processes(&self) -> Vec<i32> {
        let master = i32::try_from(self.master.id()).unwrap_or_default();
        [vec![master], descendants(master)].concat()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.master.id()) {
            nd_e2e::kill(pid, Signal::TERM);
        }
        self.master.wait().ok();
    }
}

/// As many workers as ours, kept-alive connections on both sides, no log.
fn config(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; keepalive_requests 10000000;\n  client_body_temp_path {folder}/body;\n  \
         proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n  \
         upstream app {{ server {upstream}; keepalive 128; keepalive_requests 10000000; }}\n  \
         server {{ listen {listen}; location / {{ proxy_pass http://app; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; }} }}\n}}\n"
    )
}
