//! The Docker engine of the tests: the one that answers, or one of our own for as long as they run.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::needs::{has_systemd, is_root};
use crate::{Result, process};

const SOCKET: &str = "/var/run/docker.sock";

/// Its sockets lie here, because the path of the target folder may be too long for one.
const RUN: &str = "/run/nextdeploy-xtask";

const ANSWER: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(100);

/// An engine that answers. One of our own ends when this is dropped.
#[derive(Debug)]
pub(super) struct Engine {
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    pid: Pid,
    /// Absent where an earlier run of ours was cut off and left it.
    child: Option<Child>,
    pid_file: PathBuf,
}

impl Engine {
    /// Finds an engine, or starts one that keeps its data under `folder`.
    pub(super) fn provide(folder: &Path) -> Result<Self> {
        let pid_file = folder.join("dockerd.pid");
        if answers() || (has_systemd() && wait_until(ANSWER, answers)) {
            let own = left_behind(&pid_file).map(|pid| Own { pid, child: None, pid_file });
            println!(
                "   Docker engine: {}",
                if own.is_some() { "ours, of an earlier run" } else { "answers" }
            );
            return Ok(Self { own });
        }
        if let Ok(host) = env::var("DOCKER_HOST") {
            return Err(
                format!("the engine at DOCKER_HOST={host} does not answer; start it, or unset it").into()
            );
        }
        if !is_root() {
            return Err("the Docker engine does not answer; start it (sudo systemctl start docker) \
                        and join its group (sudo usermod -aG docker $USER), or: cargo xtask test --fast"
                .into());
        }
        Ok(Self { own: Some(start(folder, pid_file)?) })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(own) = &mut self.own else { return };
        // It leaves the bridges of its networks behind otherwise, and with them the routes to their addresses.
        let mut prune = Command::new("timeout");
        prune.args(["20", "docker", "network", "prune", "--force"]).stdout(Stdio::null());
        if !prune.status().is_ok_and(|status| status.success()) {
            eprintln!("the bridges of its networks (`ip link show type bridge`) are left behind");
        }
        println!("\nstopping our Docker engine (pid {})", own.pid.as_raw_nonzero());
        let gone = kill_process(own.pid, Signal::TERM).is_err() || wait_until(STOP, || own.ended());
        if !gone {
            eprintln!("it does not stop; killing it");
            kill_process(own.pid, Signal::KILL).ok();
        }
        fs::remove_file(&own.pid_file).ok();
    }
}

impl Own {
    fn ended(&mut self) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => test_kill_process(self.pid).is_err(),
        }
    }
}

/// Whether an engine answers where `DOCKER_HOST`, else the default, says.
pub(super) fn answers() -> bool {
    let host = env::var("DOCKER_HOST").unwrap_or_else(|_| format!("unix://{SOCKET}"));
    let answer = match host.split_once("://") {
        Some(("unix", path)) => UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(ANSWER))?;
            ping(stream)
        }),
        Some(("tcp", address)) => TcpStream::connect(address).and_then(|stream| {
            stream.set_read_timeout(Some(ANSWER))?;
            ping(stream)
        }),
        _ => return false,
    };
    answer.is_ok_and(|status| status.contains(" 200 "))
}

fn ping(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut status = [0; 32];
    let count = stream.read(&mut status)?;
    Ok(String::from_utf8_lossy(status.get(..count).unwrap_or_default()).into_owned())
}

fn start(folder: &Path, pid_file: PathBuf) -> Result<Own> {
    fs::create_dir_all(folder).map_err(|error| format!("create {}: {error}", folder.display()))?;
    let log_path = folder.join("dockerd.log");
    let log = File::create(&log_path).map_err(|error| format!("create {}: {error}", log_path.display()))?;
    let mut command = Command::new("dockerd");
    command.args(["--host", &format!("unix://{SOCKET}"), "--exec-root", RUN]);
    command.arg("--data-root").arg(folder.join("data")).arg("--pidfile").arg(&pid_file);
    println!("   {}", process::line(&command));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().map_err(|error| format!("start dockerd: {error}"))?;
    let pid = Pid::from_child(&child);
    let mut own = Own { pid, child: Some(child), pid_file };
    let up = wait_until(START, || answers() || own.ended());
    if up && !own.ended() {
        return Ok(own);
    }
    // Dropped: ends what may still run.
    drop(Engine { own: Some(own) });
    Err(format!("our Docker engine does not start; {}:\n{}", log_path.display(), tail(&log_path)).into())
}

/// The pid of an engine that we started in a run that could not stop it.
fn left_behind(pid_file: &Path) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Pid::from_raw(pid).filter(|_| name.trim() == "dockerd")
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(TICK);
    }
    true
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}
