//! `check` of what runs (mission C6): each kind of target is looked at and restarted by its own manager.
//!
//! Containers, Compose, PM2 and the daemon are real; of systemd there is a stand-in where the machine was not booted
//! with it, which says what the real `systemctl` says. What is not installed is told as such, by a test of its own, and
//! counted as not tried.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nd_e2e::{
    Daemon, Docker, Options, Outcome, Programs, Result, Site, Typed, WAIT, has, runs_as_root, until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Types `nextdeployd check …` where there is no daemon, with these variables.
fn check(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Result<Outcome> {
    let programs = Programs::from_env()?;
    let host = format!("unix://{}/none.sock", folder.display());
    let variables = [&[("NEXTDEPLOY_HOST", host.as_str()), ("NO_COLOR", "1")], variables].concat();
    Typed::start(&programs.daemon, &[&["check"], words].concat(), folder, &variables)?.wait(WAIT * 3)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A container of the test application that is gone with the test.
struct Container {
    docker: Docker,
    image: String,
    name: String,
}

impl Container {
    fn new(name: &str, body: &Value) -> Result<Self> {
        let docker =
            Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
        let name = format!("nd-e2e-check-{name}-{}", std::process::id());
        let container = Self { docker, image: name.clone(), name };
        container.docker.import(&container.image, "v1", &Programs::from_env()?.testapp, &[])?;
        if !body.is_null() {
            let mut body = body.clone();
            let image = json!(format!("{}:v1", container.image));
            let labels = json!({"nextdeploy.e2e": "true"});
            let fields = body.as_object_mut().ok_or("the body is no object")?;
            fields.extend([("Image".to_owned(), image), ("Labels".to_owned(), labels)]);
            let id = container.docker.run(&body)?;
            run("docker", &["rename", &id, &container.name])?;
        }
        Ok(container)
    }

    fn status(&self) -> Result<String> {
        Ok(text(&self.docker.inspect(&self.name)?, "/State/Status").to_owned())
    }

    fn kill(&self) -> Result {
        self.docker.kill(&self.name)?;
        until("the end of the container", WAIT, || self.status().is_ok_and(|status| status == "exited"))?;
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.docker.remove(&self.name).ok();
        self.docker.remove_image(&format!("{}:v1", self.image));
    }
}

fn run(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

#[test]
fn all_apps_are_in_one_table_with_the_machine() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &["--instances", "2"])?;
    for outcome in [daemon.cli_of_daemon("check --once")?, daemon.cli("check --once")?] {
        let outcome = outcome.ok()?;
        for word in
            ["running 2/2", "shop-", "nextdeployd", "memory", "disk /", "zombies", "ports", "all well"]
        {
            assert!(outcome.stdout.contains(word), "{word} in\n{}", outcome.stdout);
        }
    }
    let report = daemon.cli_of_daemon("check shop --once --json")?.ok()?.json()?;
    assert_eq!(report.pointer("/targets/0/parts").and_then(Value::as_array).map(Vec::len), Some(2));
    assert_eq!(report.pointer("/problems"), Some(&json!(0)));
    assert!(report.pointer("/host/memory/used_bytes").and_then(Value::as_u64).is_some_and(|used| used > 0));
    assert!(report.pointer("/workers/1/name").is_some(), "{report}");
    Ok(())
}

#[test]
fn an_app_that_gave_up_is_restarted_by_the_daemon() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &["--restart=never"])?;
    let pid = daemon.app("shop")?.pointer("/units/0/pid").and_then(Value::as_i64).ok_or("no pid")?;
    nd_e2e::kill(i32::try_from(pid)?, Signal::KILL);
    daemon.wait_phase("shop", "failed")?;
    let left = daemon.cli_of_daemon("check --once --no-restart")?.expect_code(8)?;
    assert!(left.stdout.contains("1 problem"), "{}", left.stdout);
    let found = daemon.cli_of_daemon("check shop --once --json")?.expect_code(8)?.json()?;
    assert_eq!(found.pointer("/targets/0/restarted/ok"), Some(&json!(true)), "{found}");
    daemon.cli_of_daemon("check --once")?.ok()?;
    Ok(())
}

#[test]
fn codes_tell_a_script_what_is_wrong() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let unknown = daemon.cli_of_daemon("check nope --once")?.expect_code(3)?;
    assert!(unknown.stderr.contains("Application nope not found in monitoring"), "{}", unknown.stderr);
    // Without `--once` too: what was never there was mistyped.
    daemon.cli_of_daemon("check nope")?.expect_code(3)?;
    for line in ["check Nope --once", "check podman:x --once", "check --once --interval 0", "check --url x"] {
        daemon.cli_of_daemon(line)?.expect_code(2)?;
    }
    let folder = tempfile::tempdir()?;
    check(folder.path(), &["--once"], &[])?.expect_code(6)?;
    check(folder.path(), &["shop"], &[])?.expect_code(6)?;
    Ok(())
}

#[test]
fn a_loop_looks_again_until_it_is_interrupted() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    let (program, socket) = (daemon.programs().daemon.display(), daemon.site().socket());
    let file = daemon.site().folder().join("rounds");
    let script = format!(
        "exec {program} check --interval 1 --json --host unix://{} > {}",
        socket.display(),
        file.display()
    );
    let typed = Typed::start(Path::new("/bin/sh"), &["-c", &script], daemon.site().folder(), &[])?;
    until("three rounds", WAIT, || fs::read_to_string(&file).is_ok_and(|text| text.lines().count() >= 3))?;
    nd_e2e::kill(typed.pid(), Signal::INT);
    typed.wait(WAIT)?.expect_code(130)?;
    for round in fs::read_to_string(&file)?.lines() {
        assert_eq!(serde_json::from_str::<Value>(round)?.pointer("/problems"), Some(&json!(0)), "{round}");
    }
    Ok(())
}

#[test]
fn a_container_that_was_killed_is_restarted_by_docker() -> Result {
    if !has("docker", "check of containers") {
        return Ok(());
    }
    let container = Container::new("killed", &json!({"HostConfig": {"NetworkMode": "none"}}))?;
    let folder = tempfile::tempdir()?;
    let target = format!("docker:{}", container.name);
    let well = check(folder.path(), &[&target, "--once", "--json"], &[])?.ok()?.json()?;
    assert_eq!(text(&well, "/targets/0/state"), "running");
    assert!(well.pointer("/targets/0/memory/used_bytes").is_some(), "{well}");

    container.kill()?;
    let left = check(folder.path(), &[&target, "--once", "--no-restart"], &[])?.expect_code(8)?;
    assert!(left.stdout.contains("exit 137"), "{}", left.stdout);
    assert_eq!(container.status()?, "exited");

    let found = check(folder.path(), &[&target, "--once"], &[])?.expect_code(8)?;
    assert!(found.stdout.contains("was exited (exit 137); restarted"), "{}", found.stdout);
    assert_eq!(container.status()?, "running");
    check(folder.path(), &["docker:nd-e2e-none", "--once"], &[])?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_url_that_does_not_answer_has_its_target_restarted() -> Result {
    if !has("docker", "check of containers") {
        return Ok(());
    }
    let container = Container::new("url", &json!({"HostConfig": {"NetworkMode": "none"}}))?;
    let folder = tempfile::tempdir()?;
    let target = format!("docker:{}", container.name);
    let started = || -> Result<String> {
        Ok(text(&container.docker.inspect(&container.name)?, "/State/StartedAt").to_owned())
    };
    let before = started()?;
    // Nobody listens on a port that was free a moment ago.
    let url = format!("http://{}/", Site::new()?.http);
    let left =
        check(folder.path(), &[&target, "--once", "--no-restart", "--url", &url], &[])?.expect_code(8)?;
    assert!(left.stdout.contains("refused"), "{}", left.stdout);
    assert_eq!(started()?, before);
    let found = check(folder.path(), &[&target, "--once", "--url", &url], &[])?.expect_code(8)?;
    assert!(found.stdout.contains("still not up"), "{}", found.stdout);
    assert_ne!(started()?, before);
    Ok(())
}

#[test]
fn services_of_a_compose_file_are_brought_up_again() -> Result {
    let standalone = run("docker-compose", &["version"]).is_ok();
    if !standalone
        && run("docker", &["compose", "version"]).is_err()
        && !has("docker-compose", "check of Compose services")
    {
        return Ok(());
    }
    let image = Container::new("compose", &Value::Null)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("compose.yml");
    let service = format!("    image: {}:v1\n    labels: [nextdeploy.e2e=true]\n", image.image);
    fs::write(&file, format!("version: '3'\nservices:\n  web:\n{service}  job:\n{service}"))?;
    let target = format!("compose:{}", file.display());
    let project = format!("nd-e2e-check-{}", std::process::id());
    let variables = [("COMPOSE_PROJECT_NAME", project.as_str())];
    let down = Down { project: project.clone(), file: file.clone(), standalone };

    let first = check(folder.path(), &[&target, "--once", "--json"], &variables)?.expect_code(8)?.json()?;
    assert_eq!(first.pointer("/targets/0/restarted/ok"), Some(&json!(true)), "{first}");
    let well = check(folder.path(), &[&target, "--once"], &variables)?.ok()?;
    assert!(well.stdout.contains("2/2 running"), "{}", well.stdout);

    let filter = format!("label=com.docker.compose.project={project}");
    let web = run(
        "docker",
        &["ps", "-q", "--filter", &filter, "--filter", "label=com.docker.compose.service=web"],
    )?;
    image.docker.kill(web.trim())?;
    until("the end of the service", WAIT, || {
        image.docker.inspect(web.trim()).is_ok_and(|found| text(&found, "/State/Status") == "exited")
    })?;
    let found = check(folder.path(), &[&target, "--once"], &variables)?.expect_code(8)?;
    assert!(found.stdout.contains("not as it should be: web"), "{}", found.stdout);
    check(folder.path(), &[&target, "--once"], &variables)?.ok()?;
    check(folder.path(), &["compose:none.yml", "--once"], &variables)?.expect_code(3)?;
    drop(down);
    Ok(())
}

/// Takes the services of a Compose file down.
struct Down {
    project: String,
    file: PathBuf,
    standalone: bool,
}

impl Drop for Down {
    fn drop(&mut self) {
        let file = self.file.display().to_string();
        let words = ["-p", &self.project, "-f", &file, "down", "-t", "1"];
        let ended = match self.standalone {
            true => run("docker-compose", &words),
            false => run("docker", &[&["compose"], words.as_slice()].concat()),
        };
        ended.map(drop).unwrap_or_default();
    }
}

#[test]
fn a_process_of_pm2_is_restarted_by_pm2() -> Result {
    if !(has("node", "check of PM2's processes") && has("pm2", "check of PM2's processes")) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let home = folder.path().join("pm2").display().to_string();
    let variables = [("PM2_HOME", home.as_str())];
    fs::write(folder.path().join("api.js"), "setInterval(() => {}, 1000)\n")?;
    let pm2 = |words: &[&str]| Typed::start(Path::new("pm2"), words, folder.path(), &variables)?.wait(WAIT);
    pm2(&["start", "api.js", "--name", "api"])?.ok()?;
    let looked = || -> Result {
        let well = check(folder.path(), &["pm2:api", "--once", "--json"], &variables)?.ok()?.json()?;
        assert_eq!(text(&well, "/targets/0/state"), "online");
        pm2(&["stop", "api"])?.ok()?;
        check(folder.path(), &["pm2:api", "--once", "--no-restart"], &variables)?.expect_code(8)?;
        let found = check(folder.path(), &["pm2:api", "--once"], &variables)?.expect_code(8)?;
        assert!(
            found.stdout.contains("was stopped") && found.stdout.contains("restarted"),
            "{}",
            found.stdout
        );
        check(folder.path(), &["pm2:0", "--once"], &variables)?.ok()?;
        check(folder.path(), &["pm2:none", "--once"], &variables)?.expect_code(3)?;
        Ok(())
    };
    let looked = looked();
    pm2(&["kill"])?.ok()?;
    looked
}

/// A command that says what `systemctl` of systemd 252 says of a unit that is down until it is restarted.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> "$STANDIN/typed"
case "$*" in
  *restart*) touch "$STANDIN/up" ;;
  *reset-failed*) ;;
  *none*) printf 'LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n' ;;
  *show*) if [ -e "$STANDIN/up" ]
    then printf 'Type=simple\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nMainPID=812\nNRestarts=0\nMemoryCurrent=1048576\nMemoryMax=infinity\nActiveEnterTimestampMonotonic=1000000\n'
    else printf 'Type=simple\nLoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nMainPID=0\nNRestarts=5\nExecMainStatus=203\nMemoryCurrent=[not set]\n'
    fi ;;
esac
"#;

#[test]
fn a_unit_that_failed_is_forgiven_and_restarted_by_systemd() -> Result {
    let folder = tempfile::tempdir()?;
    let bin = folder.path().join("bin");
    fs::create_dir(&bin)?;
    fs::write(bin.join("systemctl"), SYSTEMCTL)?;
    fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH")?);
    let standin = folder.path().display().to_string();
    let variables = [("PATH", path.as_str()), ("STANDIN", standin.as_str())];
    let found = check(folder.path(), &["systemd:nginx", "--once"], &variables)?.expect_code(8)?;
    assert!(found.stdout.contains("was failed (exit 203); restarted"), "{}", found.stdout);
    let typed = fs::read_to_string(folder.path().join("typed"))?;
    for line in ["--no-ask-password reset-failed -- nginx", "--no-ask-password restart -- nginx"] {
        assert!(typed.lines().any(|typed| typed == line), "{line} in\n{typed}");
    }
    check(folder.path(), &["systemd:nginx", "--once"], &variables)?.ok()?;
    check(folder.path(), &["systemd:none", "--once"], &variables)?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_manager_that_cannot_be_asked_says_why() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().display().to_string();
    let targets = ["docker:db", "systemd:nginx", "pm2:api"];
    let words = [&targets[..], &["--once"]].concat();
    let absent = check(folder.path(), &words, &[("PATH", &path)])?.expect_code(8)?;
    for program in ["docker", "systemctl", "pm2"] {
        let text = format!("`{program}` is not installed here, or not in PATH");
        assert!(absent.stdout.contains(&text), "{text} in\n{}", absent.stdout);
    }
    // On a machine that was not booted with systemd, the real command says so; as another user, whatever it says counts.
    if runs_as_root()
        && !Path::new("/run/systemd/system").exists()
        && has("systemctl", "check of units where systemd does not run")
    {
        let refused = check(folder.path(), &["systemd:nginx", "--once"], &[])?.expect_code(8)?;
        assert!(refused.stdout.contains("systemd"), "{}", refused.stdout);
    }
    Ok(())
}
