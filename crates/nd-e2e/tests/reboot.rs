//! A host comes up again: the daemon first, its Docker engine late, and every app as its user wanted it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nd_e2e::{Daemon, Docker, Options, Programs, Result, Site, WAIT, until, until_some};
use rustix::process::Signal;
use serde_json::Value;

/// The addresses of the engine's containers, which no other engine of this host gives out.
const SUBNET: &str = "10.219.77.0/24";

/// The address of its default bridge, which nothing uses.
const DEFAULT_SUBNET: &str = "10.219.78.1/24";

/// A Docker engine of the test's own, in a directory of its own and without a hold on the host's firewall.
struct Engine {
    folder: PathBuf,
    child: Option<Child>,
}

impl Engine {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.join("engine"), child: None }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    fn spawn(&mut self) -> Result {
        fs::create_dir_all(&self.folder)?;
        make_bridge()?;
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = Command::new("dockerd");
        for (flag, file) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(self.folder.join(file));
        }
        command.arg("--host").arg(format!("unix://{}", self.socket().display()));
        // A bridge of its own: with none, it would remove that of the host's engine.
        command.arg("--bridge").arg(bridge());
        command.args(["--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().map_err(|error| {
            format!("start dockerd: {error}; run `cargo xtask test`, which installs an engine")
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it answers.
    fn docker(&self) -> Result<Docker> {
        until_some("the engine's answer", WAIT * 3, || Docker::at(&self.socket())).map_err(|error| {
            format!("{error}; it wrote:\n{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default())
                .into()
        })
    }

    /// Stops it as a host that goes down does: its containers end with it.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Ok(pid) = i32::try_from(child.id()) {
            nd_e2e::kill(pid, Signal::TERM);
        }
        let ended = until_some("the end of the engine", WAIT, || child.try_wait().ok().flatten());
        if ended.is_err() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        remove_bridges();
    }
}

fn bridge() -> String {
    format!("ndr{}", std::process::id())
}

/// Makes the engine's default bridge, unless it is there from before the host went down.
fn make_bridge() -> Result {
    let name = bridge();
    if Path::new("/sys/class/net").join(&name).exists() {
        return Ok(());
    }
    for words in [
        vec!["link", "add", &name, "type", "bridge"],
        vec!["addr", "add", DEFAULT_SUBNET, "dev", &name],
        vec!["link", "set", &name, "up"],
    ] {
        let status = Command::new("ip").args(&words).status()?;
        if !status.success() {
            return Err(format!("ip {}: {status}", words.join(" ")).into());
        }
    }
    Ok(())
}

/// An engine leaves the bridges of its networks behind, and with them the routes to their addresses.
fn remove_bridges() {
    Command::new("ip").args(["link", "del", &bridge()]).status().ok();
    let shown = Command::new("ip").args(["-o", "-4", "addr", "show", "to", SUBNET]).output();
    let shown = shown.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for bridge in shown.lines().filter_map(|line| line.split_whitespace().nth(1)) {
        Command::new("ip").args(["link", "del", bridge]).status().ok();
    }
}

fn phase(daemon: &Daemon, app: &str) -> Option<String> {
    daemon.app(app).ok()?.get("phase")?.as_str().map(str::to_owned)
}

#[test]
fn apps_come_back_when_the_engine_comes_late_and_stopped_ones_stay_stopped() -> Result {
    let programs = Programs::from_env()?;
    let site = Site::new()?;
    let mut engine = Engine::new(site.folder());
    engine.spawn()?;
    let docker = engine.docker()?;
    docker.import("nd-reboot", "v1", &programs.testapp, &[("TESTAPP_RELEASE", "v1")])?;
    let settings = format!(
        "{}\n[docker]\nsocket = \"unix://{}\"\nnetwork = \"nd-reboot-{}\"\nsubnet = \"{SUBNET}\"\n",
        fs::read_to_string(site.settings())?,
        engine.socket().display(),
        std::process::id(),
    );
    fs::write(site.settings(), settings)?;
    let mut daemon = Daemon::start_at(site, &programs, Options::default())?;
    let shop = daemon.cli("deploy nd-reboot:v1 --name shop --restart always")?.ok()?.stdout;
    daemon.cli("deploy nd-reboot:v1 --name blog --restart unless-stopped")?.ok()?;
    let plain = daemon.deploy("plain", "v1", &[])?;
    daemon.cli("stop blog")?.ok()?;

    // The host goes down: daemon, engine with its containers, and plain processes end.
    daemon.kill();
    for pid in daemon.unit_processes() {
        nd_e2e::kill(pid, Signal::KILL);
    }
    engine.stop();

    // It comes up: the daemon before its engine.
    daemon.launch()?;
    until("the plain process", WAIT, || daemon.get(&plain).is_ok_and(|answer| answer.status == 200))?;
    until("a reason that the container is not there", WAIT, || {
        let app = daemon.app("shop").unwrap_or_default();
        app.get("reason").and_then(Value::as_str).is_some_and(|reason| reason.contains("engine"))
    })
    .map_err(|error| format!("{error}: {}", daemon.app("shop").unwrap_or_default()))?;
    assert_eq!(phase(&daemon, "blog").as_deref(), Some("stopped"));

    engine.spawn()?;
    let docker = engine.docker()?;
    until("the container", WAIT, || daemon.get(shop.trim()).is_ok_and(|answer| answer.status == 200))
        .map_err(|error| format!("{error}: {}", daemon.app("shop").unwrap_or_default()))?;
    daemon.wait_phase("shop", "running")?;
    assert_eq!(phase(&daemon, "blog").as_deref(), Some("stopped"));
    let running = docker
        .containers(&["nextdeploy.managed=true"])?
        .into_iter()
        .filter(|container| container.get("State").and_then(Value::as_str) == Some("running"));
    let running: Vec<_> =
        running.filter_map(|container| container.pointer("/Labels/nextdeploy.app").cloned()).collect();
    assert_eq!(running, ["shop"]);
    for app in ["shop", "blog", "plain"] {
        daemon.cli(&format!("destroy {app} --yes"))?.ok()?;
    }
    Ok(())
}
