//! The daemon is killed again and again at random moments, while apps of both runtimes run, are killed and come back:
//! none is lost, none is doubled, nothing is left over, and every exit is counted once.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use nd_e2e::{
    Daemon, Docker, Options, Programs, Result, WAIT, has_ended, kill, runs_as_root, until, until_some,
};
use rustix::process::Signal;
use serde_json::Value;

/// How often the daemon is killed.
const KILLS: u32 = 50;
/// Apps of each runtime.
const APPS: usize = 10;
/// An app may have crashed so often that it pauses this long before it starts again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A little chance, from a number that a failure names.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("ND_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.subsec_nanos().into());
        Self(seed.unwrap_or_else(now))
    }

    /// A number below `most` (splitmix64).
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

struct Stage {
    daemon: Daemon,
    docker: Docker,
    image: String,
    /// How often each app was killed.
    crashes: BTreeMap<String, usize>,
}

impl Stage {
    fn new() -> Result<Self> {
        let programs = Programs::from_env()?;
        let docker =
            Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
        let image = format!("nd-e2e-often-{}", std::process::id());
        docker.import(&image, "v1", &programs.testapp, &[])?;
        let daemon = Daemon::start(&programs, Options::default())?;
        let stage = Self { daemon, docker, image, crashes: BTreeMap::new() };
        for number in 0..APPS {
            stage.deploy(&format!("p{number}"), &format!("command: [\"{}\"]", programs.testapp.display()))?;
            stage.deploy(&format!("c{number}"), &format!("image: {}:v1", stage.image))?;
        }
        Ok(stage)
    }

    /// Deploys an app that may crash as often as it likes.
    fn deploy(&self, app: &str, workload: &str) -> Result {
        let folder = self.daemon.site().folder().join(app);
        fs::create_dir(&folder)?;
        let port = if workload.starts_with("image") { ", port: 3000" } else { "" };
        let user = if runs_as_root() && port.is_empty() { "user: root\n" } else { "" };
        let restart = "restart: {crash_threshold: 1000, delay: 50ms, max_delay: 1s}";
        let file = format!("version: \"1.0\"\napp: {{name: {app}{port}}}\n{workload}\n{user}{restart}\n");
        fs::write(folder.join("nextdeploy.yml"), file)?;
        self.daemon.type_in(&folder, &["deploy"])?.wait(WAIT * 2)?.ok()?;
        Ok(())
    }

    /// The processes of an app's own program, by what marks the tree they are in.
    fn processes_of(&self, app: &str) -> Vec<i32> {
        let mark = format!("NEXTDEPLOY_APP={app}\0");
        let program = &self.daemon.programs().testapp;
        let is_app = |pid: &i32| {
            let exe = fs::read_link(format!("/proc/{pid}/exe"));
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            exe.is_ok_and(|exe| exe == *program)
                && environment.windows(mark.len()).any(|part| part == mark.as_bytes())
        };
        self.daemon.unit_processes().into_iter().filter(is_app).collect()
    }

    fn container_of(&self, app: &str) -> Option<Value> {
        let of_app = |one: &Value| one.pointer("/Labels/nextdeploy.app").and_then(Value::as_str) == Some(app);
        self.daemon.containers(&self.docker).ok()?.into_iter().find(of_app)
    }

    /// The process of an app that runs now.
    fn pid_of(&self, app: &str) -> Option<i32> {
        if app.starts_with('p') {
            return self.processes_of(app).first().copied();
        }
        let id = self.container_of(app)?.get("Id")?.as_str()?.to_owned();
        self.docker.pid(&id).ok()
    }

    /// Kills an app if it runs, and remembers it.
    fn crash(&mut self, app: &str) {
        let Some(pid) = self.pid_of(app).filter(|pid| !has_ended(*pid)) else { return };
        kill(pid, Signal::KILL);
        if until("the end of the app", WAIT, || has_ended(pid)).is_ok() {
            *self.crashes.entry(app.to_owned()).or_default() += 1;
        }
    }

    /// How many exits of the app were recorded.
    fn exits_of(&self, app: &str) -> Result<usize> {
        let page =
            self.daemon.api_get(&format!("/api/v1/events?app={app}&type=instance.exited&limit=1000"))?;
        Ok(page.get("items").and_then(Value::as_array).map_or(0, Vec::len))
    }

    fn apps() -> Vec<String> {
        (0..APPS).flat_map(|number| [format!("p{number}"), format!("c{number}")]).collect()
    }

    /// Zombies whose parent is the daemon or one of its shims.
    fn zombies(&self) -> Vec<i32> {
        let mut parents = self.daemon.unit_processes();
        parents.extend(self.daemon.pid());
        let zombies = parents.iter().flat_map(|parent| nd_e2e::children_of(*parent));
        zombies.filter(|pid| has_ended(*pid)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for app in Self::apps() {
            self.daemon.cli_words(&["destroy", &app, "--yes"]).ok();
        }
        self.docker.remove_image(&format!("{}:v1", self.image));
    }
}

#[test]
fn a_daemon_that_is_killed_fifty_times_loses_doubles_and_forgets_nothing() -> Result {
    let mut stage = Stage::new()?;
    let mut chance = Chance::new();
    let (seed, apps) = (chance.0, Stage::apps());
    for _ in 0..KILLS {
        // As long as it may live, apps are killed.
        let lives = Duration::from_millis(chance.below(900));
        let begun = Instant::now();
        while begun.elapsed() < lives {
            if let Some(app) = apps.get(usize::try_from(chance.below(20))?) {
                stage.crash(app);
            }
        }
        stage.daemon.kill();
        // Some end while no daemon looks.
        if chance.below(2) == 0
            && let Some(app) = apps.get(usize::try_from(chance.below(20))?)
        {
            stage.crash(app);
        }
        stage.daemon.launch()?;
    }
    for app in &apps {
        stage.daemon.wait_phase(app, "running").map_err(|error| format!("seed {seed}: {app}: {error}"))?;
    }
    for app in &apps {
        let expected = stage.crashes.get(app).copied().unwrap_or_default();
        let counted = || stage.exits_of(app).unwrap_or_default();
        until_some("the exits are stored", WAIT, || (counted() >= expected).then_some(()))
            .map_err(|_| format!("seed {seed}: {app}: {} of {expected} exits counted", counted()))?;
        assert_eq!(counted(), expected, "seed {seed}: exits of {app}");
        if app.starts_with('p') {
            let alive = || stage.processes_of(app).len();
            assert_eq!(alive(), 1, "seed {seed}: processes of {app}");
        }
    }
    let containers = stage.daemon.containers(&stage.docker)?;
    let running = containers.iter().filter(|one| one.get("State").and_then(Value::as_str) == Some("running"));
    assert_eq!((running.count(), containers.len()), (APPS, APPS), "seed {seed}: {containers:?}");
    until("no zombie", LONGEST_PAUSE, || stage.zombies().is_empty())
        .map_err(|error| format!("seed {seed}: {error}: {:?}", stage.zombies()))?;
    assert!(stage.crashes.values().sum::<usize>() > 20, "seed {seed}: hardly anything happened");
    Ok(())
}
