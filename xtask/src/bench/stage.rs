//! What several benches do: deploy over the API, wait for an answer, run without the daemon.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Docker, NETWORK, Target, get, runs_as_root, until};
use serde_json::{Value, json};

use crate::Result;

/// The longest that anything here may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What an app runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Workload<'a> {
    Image(&'a str),
    Program(&'a Path),
}

/// Asks for a deployment and waits until the app answers through the proxy; gives the time between.
pub(super) fn deploy(daemon: &Daemon, app: &str, workload: Workload<'_>) -> Result<Duration> {
    let manifest = match workload {
        Workload::Image(image) => {
            json!({"version": "1.0", "app": {"name": app, "port": 3000}, "image": image})
        }
        Workload::Program(program) if runs_as_root() => {
            json!({"version": "1.0", "app": {"name": app}, "command": [program], "user": "root"})
        }
        Workload::Program(program) => json!({"version": "1.0", "app": {"name": app}, "command": [program]}),
    };
    let body = json!({"manifest": manifest, "base_dir": daemon.site().folder()}).to_string();
    let begun = Instant::now();
    let answer = daemon.api_post(&format!("/api/v1/apps/{app}/deployments"), &body)?;
    if answer.status >= 300 {
        return Err(format!("deploy {app}: {}", answer.text()).into());
    }
    let answered = answers(&Target::Tcp(daemon.site().http), &format!("{app}.localhost"));
    let took = begun.elapsed();
    match answered {
        Ok(()) => Ok(took),
        Err(error) => Err(format!("{app}: {error}; it is {}", daemon.app(app).unwrap_or_default()).into()),
    }
}

/// Destroys an app.
pub(super) fn destroy(daemon: &Daemon, app: &str) -> Result {
    daemon.cli(&format!("destroy {app} --yes"))?.ok()?;
    Ok(())
}

/// Waits until there is a good answer.
pub(super) fn answers(target: &Target, host: &str) -> Result {
    until("an answer", LIMIT, || get(target, host, "/").is_ok_and(|answer| answer.status == 200))?;
    Ok(())
}

/// Lets time pass.
pub(super) fn pass(time: Duration) -> Result {
    let begun = Instant::now();
    until("time", LIMIT, || begun.elapsed() >= time)?;
    Ok(())
}

/// A program without any supervisor.
#[derive(Debug)]
pub(super) struct Bare {
    child: Child,
    pub(super) target: Target,
    /// From its start to its first answer.
    pub(super) took: Duration,
}

impl Bare {
    pub(super) fn start(program: &Path) -> Result<Self> {
        let address: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let target = Target::Tcp(address);
        let begun = Instant::now();
        let mut command = Command::new(program);
        command.env("PORT", address.port().to_string()).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut bare = Self { child, target, took: Duration::ZERO };
        answers(&bare.target, "bare")?;
        bare.took = begun.elapsed();
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A container that only the engine knows.
#[derive(Debug)]
pub(super) struct BareContainer<'a> {
    docker: &'a Docker,
    pub(super) id: String,
    pub(super) target: Target,
    pub(super) took: Duration,
}

impl<'a> BareContainer<'a> {
    pub(super) fn start(docker: &'a Docker, image: &str, policy: &str) -> Result<Self> {
        let begun = Instant::now();
        // With an init and on a network with names, as ours, and as those of Compose and Kamal.
        let host = json!({"Init": true, "NetworkMode": NETWORK, "RestartPolicy": {"Name": policy}});
        let id =
            docker.run(&json!({"Image": image, "HostConfig": host, "Labels": {"nextdeploy.e2e": "true"}}))?;
        let mut bare =
            Self { docker, id, target: Target::Tcp(([127, 0, 0, 1], 0).into()), took: Duration::ZERO };
        bare.target = bare.address()?;
        answers(&bare.target, "bare")?;
        bare.took = begun.elapsed();
        Ok(bare)
    }

    /// Where it answers now.
    pub(super) fn address(&self) -> Result<Target> {
        let about = self.docker.inspect(&self.id)?;
        let address =
            about.pointer(&format!("/NetworkSettings/Networks/{NETWORK}/IPAddress")).and_then(Value::as_str);
        let address: std::net::IpAddr = address.unwrap_or_default().parse()?;
        Ok(Target::Tcp((address, 3000).into()))
    }
}

impl Drop for BareContainer<'_> {
    fn drop(&mut self) {
        self.docker.remove(&self.id).ok();
    }
}

/// An image of the test application; removed when dropped.
#[derive(Debug)]
pub(super) struct Image<'a> {
    docker: &'a Docker,
    pub(super) reference: String,
}

impl<'a> Image<'a> {
    pub(super) fn new(docker: &'a Docker, program: &Path) -> Result<Self> {
        let name = format!("nextdeploy-bench-{}", std::process::id());
        docker.import(&name, "v1", program, &[("TESTAPP_RELEASE", "v1")])?;
        Ok(Self { docker, reference: format!("{name}:v1") })
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        self.docker.remove_image(&self.reference);
    }
}
