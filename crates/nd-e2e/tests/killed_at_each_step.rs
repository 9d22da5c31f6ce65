//! The daemon dies around the effect of every step of a deployment and is started again: the old version serves or the
//! new one does, with one set of units and no orphan, and the deployment has an end.

use nd_e2e::{Daemon, Docker, Options, Programs, Result, Typed, WAIT, runs_as_root, until, until_some};
use serde_json::Value;

const FAIL_POINT: &str = "ND_FAILPOINT";

/// How an app is deployed, and how many of it run.
trait Kind: Sized {
    fn new(programs: &Programs) -> Result<Self>;
    fn begin(&self, daemon: &Daemon, release: &str) -> Result<Typed>;
    fn running(&self, daemon: &Daemon) -> usize;

    fn deploy(&self, daemon: &Daemon, release: &str) -> Result<String> {
        Ok(self.begin(daemon, release)?.wait(WAIT * 2)?.ok()?.stdout.trim().to_owned())
    }
}

struct Process;

struct Container {
    docker: Docker,
    image: String,
}

impl Kind for Process {
    fn new(_: &Programs) -> Result<Self> {
        Ok(Self)
    }

    fn begin(&self, daemon: &Daemon, release: &str) -> Result<Typed> {
        let variable = format!("TESTAPP_RELEASE={release}");
        let program = daemon.programs().testapp.display().to_string();
        let user: &[&str] = if runs_as_root() { &["--user", "root"] } else { &[] };
        let words = [&["deploy", "--name", "shop", "-e", &variable], user, &["--", &program]].concat();
        daemon.type_in(daemon.site().folder(), &words)
    }

    fn running(&self, daemon: &Daemon) -> usize {
        let program = daemon.programs().testapp.clone();
        let is_app =
            |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
        daemon.unit_processes().iter().filter(|pid| is_app(pid)).count()
    }
}

impl Kind for Container {
    fn new(programs: &Programs) -> Result<Self> {
        let docker =
            Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
        let image = format!("nd-e2e-steps-{}-{:?}", std::process::id(), std::thread::current().id());
        let image = image.to_lowercase().replace(['(', ')'], "");
        for release in ["v1", "v2", "v3"] {
            docker.import(&image, release, &programs.testapp, &[("TESTAPP_RELEASE", release)])?;
        }
        Ok(Self { docker, image })
    }

    fn begin(&self, daemon: &Daemon, release: &str) -> Result<Typed> {
        let image = format!("{}:{release}", self.image);
        let words = ["deploy", "--name", "shop", "--port", "3000", "--image", &image];
        daemon.type_in(daemon.site().folder(), &words)
    }

    fn running(&self, daemon: &Daemon) -> usize {
        let all = daemon.containers(&self.docker).unwrap_or_default();
        all.iter().filter(|one| one.get("State").and_then(Value::as_str) == Some("running")).count()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for release in ["v1", "v2", "v3"] {
            self.docker.remove_image(&format!("{}:{release}", self.image));
        }
    }
}

/// Deploys v1, then v2 with a daemon that dies at `moment`; starts the daemon again and looks.
fn killed_while_deploying<K: Kind>(moment: &str) -> Result {
    let programs = Programs::from_env()?;
    let mut daemon = Daemon::start(&programs, Options::default())?;
    let kind = K::new(&programs)?;
    let url = kind.deploy(&daemon, "v1")?;
    arm(&mut daemon, moment);
    // A step that a mere start takes too ends it even earlier; then the deployment comes to no daemon.
    let mut client = None;
    if daemon.launch().is_ok() {
        client = Some(kind.begin(&daemon, "v2")?);
        daemon.wait_end(WAIT)?;
    }
    disarm(&mut daemon)?;
    if let Some(client) = client {
        // It looks for the daemon again; how its deployment ends depends on the step.
        client.wait(WAIT * 2)?;
    }
    settled(&daemon, moment)?;
    let served = until_some("an answer", WAIT, || {
        daemon.get(&url).ok().filter(|answer| answer.status == 200)?.header("x-release").map(str::to_owned)
    })?;
    assert!(matches!(served.as_str(), "v1" | "v2"), "{moment}: {served}");
    until(&format!("{moment}: one set of units"), WAIT, || kind.running(&daemon) == 1)?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some(served.as_str()), "{moment}");
    kind.deploy(&daemon, "v3")?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v3"), "{moment}");
    until(&format!("{moment}: one set of units"), WAIT, || kind.running(&daemon) == 1)?;
    Ok(())
}

/// Destroys an app with a daemon that dies at `moment`: after the next start nothing is left.
fn killed_while_destroying<K: Kind>(moment: &str) -> Result {
    let programs = Programs::from_env()?;
    let mut daemon = Daemon::start(&programs, Options::default())?;
    let kind = K::new(&programs)?;
    kind.deploy(&daemon, "v1")?;
    arm(&mut daemon, moment);
    let mut client = None;
    if daemon.launch().is_ok() {
        client = Some(daemon.type_in(daemon.site().folder(), &["destroy", "shop", "--yes"])?);
        daemon.wait_end(WAIT)?;
    }
    disarm(&mut daemon)?;
    if let Some(client) = client {
        client.wait(WAIT * 2)?;
    }
    until(&format!("{moment}: no unit"), WAIT, || kind.running(&daemon) == 0)?;
    until(&format!("{moment}: no app"), WAIT, || {
        daemon.cli("status shop").is_ok_and(|outcome| outcome.code == Some(3))
    })?;
    Ok(())
}

/// The next start dies at `moment`.
fn arm(daemon: &mut Daemon, moment: &str) {
    daemon.kill();
    daemon.options().variables.push((FAIL_POINT.to_owned(), moment.to_owned()));
}

fn disarm(daemon: &mut Daemon) -> Result {
    daemon.kill();
    daemon.options().variables.clear();
    daemon.launch()
}

/// Waits until every deployment has an end, and the app runs.
fn settled(daemon: &Daemon, moment: &str) -> Result {
    let mut last = Value::Null;
    let over = until_some("an end of every deployment", WAIT, || {
        last = daemon.api_get("/api/v1/apps/shop/deployments").ok()?;
        let items = last.get("items")?.as_array()?;
        let open =
            |one: &Value| matches!(one.get("status").and_then(Value::as_str), Some("queued" | "running"));
        (!items.iter().any(open)).then_some(())
    });
    over.map_err(|error| format!("{moment}: {error}: {last}"))?;
    daemon.wait_phase("shop", "running").map(drop)
}

macro_rules! killed {
    ($($runtime:ident: $kind:ty { $($name:ident at $moment:literal by $play:ident;)+ })+) => {
        $(mod $runtime {
            use super::*;
            $(
                #[test]
                fn $name() -> Result {
                    $play::<$kind>($moment)
                }
            )+
        })+
    };
}

killed! {
    processes: Process {
        the_daemon_dies_before_it_prepares at "before-prepare" by killed_while_deploying;
        the_daemon_dies_after_it_prepared at "after-prepare" by killed_while_deploying;
        the_daemon_dies_before_it_creates at "before-create" by killed_while_deploying;
        the_daemon_dies_after_it_created at "after-create" by killed_while_deploying;
        the_daemon_dies_before_it_starts at "before-start" by killed_while_deploying;
        the_daemon_dies_after_it_started at "after-start" by killed_while_deploying;
        the_daemon_dies_before_it_waits_for_health at "before-health" by killed_while_deploying;
        the_daemon_dies_after_it_saw_health at "after-health" by killed_while_deploying;
        the_daemon_dies_before_it_swaps at "before-apply" by killed_while_deploying;
        the_daemon_dies_after_it_swapped at "after-apply" by killed_while_deploying;
        the_daemon_dies_before_it_drains at "before-drain" by killed_while_deploying;
        the_daemon_dies_after_it_drained at "after-drain" by killed_while_deploying;
        the_daemon_dies_before_it_stops at "before-stop" by killed_while_deploying;
        the_daemon_dies_after_it_stopped at "after-stop" by killed_while_deploying;
        the_daemon_dies_before_it_removes at "before-remove" by killed_while_destroying;
        the_daemon_dies_after_it_removed at "after-remove" by killed_while_destroying;
    }
    containers: Container {
        the_daemon_dies_after_it_prepared at "after-prepare" by killed_while_deploying;
        the_daemon_dies_after_it_created at "after-create" by killed_while_deploying;
        the_daemon_dies_after_it_started at "after-start" by killed_while_deploying;
        the_daemon_dies_after_it_saw_health at "after-health" by killed_while_deploying;
        the_daemon_dies_after_it_swapped at "after-apply" by killed_while_deploying;
        the_daemon_dies_after_it_drained at "after-drain" by killed_while_deploying;
        the_daemon_dies_after_it_stopped at "after-stop" by killed_while_deploying;
        the_daemon_dies_after_it_removed at "after-remove" by killed_while_destroying;
    }
}
