//! Bad input, and what it gets: a clear answer, and whatever served before serves on.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nd_e2e::{Daemon, Docker, Options, Outcome, Programs, Relay, Result, Site, Stub, WAIT, until};
use serde_json::Value;

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

/// Deploys a `nextdeploy.yml`; `PROGRAM` stands for the test application.
fn deploy_file(daemon: &Daemon, manifest: &str) -> Result<Outcome> {
    let folder = daemon.site().folder().join("project");
    fs::create_dir_all(&folder)?;
    let program = daemon.programs().testapp.display().to_string();
    fs::write(folder.join("nextdeploy.yml"), manifest.replace("PROGRAM", &program))?;
    daemon.type_in(&folder, &["deploy"])?.wait(WAIT * 2)
}

fn refused(manifest: &str, words: &[&str]) -> Result {
    let daemon = daemon()?;
    let outcome = deploy_file(&daemon, manifest)?.expect_code(2)?;
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in {}", outcome.stderr);
    }
    Ok(())
}

#[test]
fn a_misspelt_key_is_named_with_its_place_and_the_right_one() -> Result {
    refused(
        "version: \"1.0\"\napp:\n  name: shop\nimage: x:1\ndeployment:\n  container:\n    heathcheck: {path: /}\n",
        &["nextdeploy.yml:7:5", "heathcheck", "healthcheck"],
    )
}

#[test]
fn a_wrong_type_is_named_with_its_place() -> Result {
    refused(
        "version: \"1.0\"\napp:\n  name: shop\n  port: [3000]\nimage: x:1\n",
        &["nextdeploy.yml:4:", "port"],
    )
}

#[test]
fn port_0_and_port_70000_are_refused() -> Result {
    refused("version: \"1.0\"\napp: {name: shop, port: 0}\nimage: x:1\n", &["port", "1–65535", "0"])?;
    refused("version: \"1.0\"\napp: {name: shop, port: 70000}\nimage: x:1\n", &["port", "1–65535", "70000"])
}

#[test]
fn a_bad_app_name_is_refused() -> Result {
    refused("version: \"1.0\"\napp: {name: My_Shop}\nimage: x:1\n", &["My_Shop", "a-z"])?;
    let long = "a".repeat(64);
    refused(&format!("version: \"1.0\"\napp: {{name: {long}}}\nimage: x:1\n"), &["63"])
}

#[test]
fn an_empty_image_is_refused() -> Result {
    refused("version: \"1.0\"\napp: {name: shop}\nimage: \"\"\n", &["image"])
}

#[test]
fn an_image_that_does_not_exist_fails_and_says_so() -> Result {
    let daemon = daemon()?;
    let registry = Stub::start(|path| match path {
        "/v2/" => ("200 OK", "{}".to_owned()),
        _ => (
            "404 Not Found",
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_owned(),
        ),
    })?;
    let image = format!("{}/no/such:1", registry.address);
    let outcome = daemon.cli_words(&["deploy", "--name", "shop", "--port", "3000", "--image", &image])?;
    let outcome = outcome.expect_code(1)?;
    assert!(
        outcome.stderr.contains(&image) && outcome.stderr.contains("manifest unknown"),
        "{}",
        outcome.stderr
    );
    Ok(())
}

#[test]
fn a_command_that_does_not_exist_fails_and_says_so() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let mut words = vec!["deploy", "--name", "shop"];
    if nd_e2e::runs_as_root() {
        words.extend(["--user", "root"]);
    }
    words.extend(["--", "/no/such/command"]);
    let outcome = daemon.cli_words(&words)?;
    assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
    assert!(outcome.stderr.contains("/no/such/command"), "{}", outcome.stderr);
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"));
    Ok(())
}

#[test]
fn a_domain_of_another_app_is_refused_and_its_owner_named() -> Result {
    let daemon = daemon()?;
    daemon.deploy("blog", "v1", &["--domain", "app.example.com"])?;
    let error =
        daemon.deploy("shop", "v1", &["--domain", "app.example.com"]).err().ok_or("two apps, one domain")?;
    let said = error.to_string();
    assert!(said.contains("app.example.com") && said.contains("blog"), "{said}");
    assert_eq!(daemon.get("http://app.example.com/")?.header("x-release"), Some("v1"));
    daemon.cli("status shop")?.expect_code(3)?;
    Ok(())
}

#[test]
fn a_second_deploy_waits_for_the_first_or_is_told_who_holds_it() -> Result {
    let daemon = daemon()?;
    let program = daemon.programs().testapp.display().to_string();
    let slow =
        ["deploy", "--name", "shop", "-e", "TESTAPP_START_DELAY_MS=3000", "-e", "TESTAPP_RELEASE=first"];
    let user: &[&str] = if nd_e2e::runs_as_root() { &["--user", "root"] } else { &[] };
    let first = daemon.type_in(daemon.site().folder(), &[&slow, user, &["--", &program]].concat())?;
    until("the first deployment", WAIT, || daemon.app("shop").is_ok_and(|app| app.get("phase").is_some()))?;
    let second = ["deploy", "--name", "shop", "--lock-wait", "0s", "-e", "TESTAPP_RELEASE=second"];
    let refused = daemon.cli_words(&[&second, user, &["--", &program]].concat())?.expect_code(5)?;
    assert!(refused.stderr.contains("dpl_"), "{}", refused.stderr);
    let url = daemon.deploy("shop", "third", &["--lock-wait", "60s"])?;
    first.wait(WAIT)?.ok()?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("third"));
    Ok(())
}

#[test]
fn an_engine_that_vanishes_in_the_middle_is_waited_for() -> Result {
    let programs = Programs::from_env()?;
    let docker =
        Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
    let engine = docker.socket().ok_or("this test needs an engine on a unix socket")?.to_owned();
    let site = Site::new()?;
    let socket = site.folder().join("docker.sock");
    let mut relay = Relay::start(&socket, &engine)?;
    let settings = fs::read_to_string(site.settings())?;
    fs::write(site.settings(), format!("[docker]\nsocket = \"{}\"\n\n{settings}", socket.display()))?;
    let image = format!("nd-e2e-vanish-{}", std::process::id());
    docker.import(
        &image,
        "v1",
        &programs.testapp,
        &[("TESTAPP_RELEASE", "v1"), ("TESTAPP_START_DELAY_MS", "1500")],
    )?;
    let daemon = Daemon::start_at(site, &programs, Options::default())?;
    let reference = format!("{image}:v1");
    let words = ["deploy", "--name", "shop", "--port", "3000", "--image", &reference];
    let deploying = daemon.type_in(daemon.site().folder(), &words)?;
    until("the container", WAIT, || daemon.containers(&docker).is_ok_and(|all| !all.is_empty()))?;
    relay.cut();
    until("a word about it", WAIT, || daemon.site().log().to_lowercase().contains("engine"))?;
    relay.restore()?;
    let outcome = deploying.wait(WAIT * 3).and_then(Outcome::ok);
    let served = outcome.and_then(|outcome| daemon.get(&outcome.stdout));
    let containers = daemon.containers(&docker)?.len();
    drop(daemon);
    docker.remove_image(&reference);
    assert_eq!(served?.header("x-release"), Some("v1"));
    assert_eq!(containers, 1);
    Ok(())
}

/// A small file system of its own; gone when dropped.
struct SmallDisk(std::path::PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_refuses_intent_clearly_and_traffic_goes_on() -> Result {
    let programs = Programs::from_env()?;
    let site = Site::new()?;
    let data = site.data();
    fs::create_dir(&data)?;
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&data).status()?;
    assert!(mounted.success(), "a small file system needs root: run `cargo xtask test` as root");
    let disk = SmallDisk(data.clone());
    let daemon = Daemon::start_at(site, &programs, Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    fill(&data.join("ballast"))?;
    let error = daemon.deploy("shop", "v2", &[]).err().ok_or("a deployment on a full disk")?;
    assert!(error.to_string().to_lowercase().contains("disk"), "{error}");
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"));
    let listed: Value = daemon.api_get("/status?app=shop")?;
    assert_eq!(listed.pointer("/payload/status").and_then(Value::as_str), Some("running"), "{listed}");
    fs::remove_file(data.join("ballast"))?;
    daemon.deploy("shop", "v3", &[])?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v3"));
    drop(daemon);
    drop(disk);
    Ok(())
}

/// Writes until nothing more fits, twice, for what was just freed.
fn fill(path: &std::path::Path) -> Result {
    use std::io::Write;
    let mut file = fs::File::create(path)?;
    for size in [64 * 1024, 1024, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    Ok(())
}

#[test]
fn a_deploy_that_is_waited_for_too_short_goes_on() -> Result {
    let daemon = daemon()?;
    let program = daemon.programs().testapp.display().to_string();
    let words = ["deploy", "--name", "shop", "--wait-timeout", "1s", "-e", "TESTAPP_START_DELAY_MS=3000"];
    let user: &[&str] = if nd_e2e::runs_as_root() { &["--user", "root"] } else { &[] };
    let outcome = daemon.cli_words(&[&words, user, &["--", &program]].concat())?.expect_code(7)?;
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
    daemon.wait_phase("shop", "running")?;
    Ok(())
}
