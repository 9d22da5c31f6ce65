//! Versions of which only one may run at a time: it is said beforehand, and requests wait instead of failing.

use std::fs;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Docker, Load, Options, Programs, Result, WAIT, runs_as_root, until};
use nd_testkit::free_address;
use serde_json::Value;

/// Longer than a new version takes to start here, and far below the 30 s that a request waits at most.
const SLOW_START: &str = "TESTAPP_START_DELAY_MS=2500";

/// Deploys again under load; what is said, what waited, and that nothing failed.
fn swapped(
    daemon: &Daemon,
    url: &str,
    said: &str,
    next: impl FnOnce() -> Result<String>,
    plan: impl FnOnce() -> Result<String>,
) -> Result {
    let (target, host, _) = daemon.route(url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    load.uploads(2)?;
    let begun = Instant::now();
    until("requests", WAIT, || begun.elapsed() > Duration::from_secs(1) && load.tally().sent > 50)?;
    let planned = plan()?;
    assert!(planned.contains("by recreate") && planned.contains("hold requests"), "{planned}");
    load.allow(&["v1", "v2"]);
    let told = next()?;
    assert!(told.contains(said) && told.contains("requests wait while the old version stops"), "{told}");
    load.allow(&["v2"]);
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", WAIT, || begun.elapsed() > Duration::from_secs(1) && load.tally().sent > before)?;
    let page = daemon.api_get("/api/v1/apps/shop/deployments?limit=1")?;
    let figure = |name: &str| page.pointer(&format!("/items/0/receipt/{name}")).and_then(Value::as_u64);
    assert!(figure("held") > Some(0), "{page}");
    assert_eq!((figure("failed"), figure("cut")), (Some(0), Some(0)), "{page}");
    let failures = load.failures();
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{failures:#?}");
    Ok(())
}

#[test]
fn an_app_that_insists_on_its_port_is_recreated_and_requests_wait() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let port = free_address()?.port();
    let insists = format!("TESTAPP_IGNORE_PORT={port}");
    let port = port.to_string();
    let first = ["--port", &port, "-e", &insists];
    let url = daemon.deploy("shop", "v1", &first)?;
    let program = daemon.programs().testapp.display().to_string();
    let user: &[&str] = if runs_as_root() { &["--user", "root"] } else { &[] };
    let second = ["--name", "shop", "-e", "TESTAPP_RELEASE=v2", "-e", SLOW_START];
    let second = [&second[..], &first, user, &["--", &program]].concat();
    let typed = |words: &[&str]| daemon.cli_words(&[words, &second].concat());
    swapped(
        &daemon,
        &url,
        &format!("binds port {port}"),
        || Ok(typed(&["deploy"])?.ok()?.stderr),
        || Ok(typed(&["deploy", "--dry-run"])?.ok()?.stdout),
    )
}

#[test]
fn an_app_whose_volume_only_one_may_write_is_recreated_and_requests_wait() -> Result {
    let docker =
        Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
    let programs = Programs::from_env()?;
    let image = format!("nd-lone-volume-{}", std::process::id());
    docker.import(&image, "1", &programs.testapp, &[("PORT", "3000")])?;
    let daemon = Daemon::start(&programs, Options::default())?;
    let folder = daemon.site().folder().to_owned();
    fs::create_dir_all(folder.join("data"))?;
    let write = |release: &str| {
        let manifest = format!(
            "version: \"1.0\"\napp: {{name: shop, port: 3000}}\nimage: {image}:1\n\
             env: {{TESTAPP_RELEASE: {release}, TESTAPP_START_DELAY_MS: \"2500\"}}\n\
             deployment: {{container: {{volumes: [\"./data:/data\"]}}}}\n"
        );
        fs::write(folder.join("nextdeploy.yml"), manifest)
    };
    write("v1")?;
    let url = daemon.cli("deploy")?.ok()?.stdout;
    write("v2")?;
    let outcome = swapped(
        &daemon,
        url.trim(),
        "volume /data is writable",
        || Ok(daemon.cli("deploy")?.ok()?.stderr),
        || Ok(daemon.cli("deploy --dry-run")?.ok()?.stdout),
    );
    drop(daemon);
    docker.remove_image(&format!("{image}:1"));
    outcome
}
