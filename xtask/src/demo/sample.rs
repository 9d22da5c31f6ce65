//! The sample application of the demo: as a container where an engine answers, else as a plain process.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Docker, NETWORK, Programs, has_ended, kill, runs_as_root, until, until_some};
use rustix::process::Signal;
use serde_json::Value;

use crate::Result;

/// The app's name.
pub(super) const APP: &str = "demo";

const LIMIT: Duration = Duration::from_secs(30);

/// How the sample runs. Images are removed again when this is dropped.
#[derive(Debug)]
pub(super) enum Sample {
    Container { docker: Docker, image: String, made_network: bool },
    Process { program: PathBuf },
}

impl Sample {
    /// A container where an engine answers and a process was not asked for.
    pub(super) fn choose(programs: &Programs, as_process: bool) -> Result<Self> {
        let docker = if as_process { None } else { Docker::find() };
        let Some(docker) = docker else { return Ok(Self::Process { program: programs.testapp.clone() }) };
        let image = format!("nextdeploy-demo-{}", std::process::id());
        let made_network = !docker.has_network(NETWORK);
        let sample = Self::Container { docker: docker.clone(), image: image.clone(), made_network };
        for release in ["v1", "v2"] {
            docker.import(&image, release, &programs.testapp, &[("TESTAPP_RELEASE", release)])?;
        }
        Ok(sample)
    }

    pub(super) fn runtime(&self) -> &'static str {
        match self {
            Self::Container { .. } => "docker",
            Self::Process { .. } => "process",
        }
    }

    /// The `nextdeploy.yml` of a release.
    pub(super) fn manifest(&self, release: &str) -> String {
        let head = format!("version: \"1.0\"\napp:\n  name: {APP}\n");
        match self {
            Self::Container { image, .. } => format!("{head}  port: 3000\nimage: {image}:{release}\n"),
            Self::Process { program } => {
                let user = if runs_as_root() { "user: root\n" } else { "" };
                let program = program.display();
                format!("{head}command: [\"{program}\"]\n{user}env:\n  TESTAPP_RELEASE: {release}\n")
            }
        }
    }

    /// Kills the app; gives the time until the next good answer.
    pub(super) fn kill_app(&self, daemon: &Daemon, url: &str) -> Result<Duration> {
        let killed = match self {
            Self::Container { docker, .. } => {
                let containers = daemon.containers(docker)?;
                let runs = |one: &&Value| one.get("State").and_then(Value::as_str) == Some("running");
                let id = containers.iter().find(runs).and_then(|one| one.get("Id")).and_then(Value::as_str);
                let id = id.ok_or("no container runs")?;
                let pid = docker.pid(id)?;
                let killed = Instant::now();
                docker.kill(id)?;
                until("the end of the app", LIMIT, || has_ended(pid))?;
                killed
            }
            Self::Process { .. } => {
                let answer = daemon.get(url)?;
                let instance = answer.header("x-instance").unwrap_or_default().to_owned();
                let pid: i32 =
                    instance.rsplit('-').next().and_then(|pid| pid.parse().ok()).ok_or("no pid")?;
                let killed = Instant::now();
                kill(pid, Signal::KILL);
                until("the end of the app", LIMIT, || has_ended(pid))?;
                killed
            }
        };
        until_some("an answer of the app", LIMIT, || {
            daemon.get(url).ok().filter(|answer| answer.status == 200)
        })?;
        Ok(killed.elapsed())
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let Self::Container { docker, image, made_network } = self else { return };
        for release in ["v1", "v2"] {
            docker.remove_image(&format!("{image}:{release}"));
        }
        if *made_network {
            docker.remove_network(NETWORK);
        }
    }
}
