//! A new version that some of the clients get first, under load, with a daemon that is killed meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use nd_e2e::{
    Connection, Daemon, Load, Options, Programs, Result, Site, Typed, WAIT, runs_as_root, until, until_some,
};
use serde_json::Value;

/// Deploys a version from a file whose rollout says this; does not wait.
fn deploy(daemon: &Daemon, release: &str, rollout: &str) -> Result<Typed> {
    let folder = daemon.site().folder().join(release);
    fs::create_dir_all(&folder)?;
    let mut manifest = format!(
        "version: \"1.0\"\napp: {{name: shop}}\ncommand: {}\nenv: {{TESTAPP_RELEASE: {release}}}\n\
         deployment: {{rollout: {rollout}}}\n",
        daemon.programs().testapp.display()
    );
    if runs_as_root() {
        writeln!(manifest, "user: root")?;
    }
    fs::write(folder.join("nextdeploy.yml"), manifest)?;
    daemon.type_in(&folder, &["deploy"])
}

/// How the trial stands.
fn canary(daemon: &Daemon) -> Option<Value> {
    daemon.app("shop").ok()?.get("canary").cloned()
}

fn at_step(daemon: &Daemon, step: u64) -> Result<Value> {
    let reached = || {
        canary(daemon).filter(|canary| {
            let number = |key: &str| canary.get(key).and_then(Value::as_u64);
            number("step") == Some(step) && number("percent") != Some(0)
        })
    };
    until_some(&format!("step {step}"), WAIT, reached)
}

/// Which version answers a client with this lot, and with which status.
fn asked(daemon: &Daemon, url: &str, lot: &str) -> Result<(u16, String)> {
    let (target, host, path) = daemon.route(url)?;
    let answer = Connection::open(&target, &host, WAIT)?.request("GET", &path, &[("cookie", lot)], b"")?;
    Ok((answer.status, answer.header("x-release").unwrap_or_default().to_owned()))
}

fn load_on(daemon: &Daemon, url: &str) -> Result<Load> {
    let (target, host, _) = daemon.route(url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(24, Duration::from_millis(10))?;
    load.http2(8, Duration::from_millis(10))?;
    load.uploads(2)?;
    load.websockets(2)?;
    Ok(load)
}

fn lost_nothing(load: Load) -> Result {
    let failures = load.failures();
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{failures:#?}");
    assert!(tally.sent > 100, "{tally:?}");
    Ok(())
}

#[test]
fn a_canary_takes_over_step_by_step_although_the_daemon_is_killed_and_no_client_is_lost_or_sent_back()
-> Result {
    let mut daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())?;
    let url = deploy(&daemon, "v1", "{strategy: canary}")?.wait(WAIT)?.ok()?.stdout.trim().to_owned();
    let load = load_on(&daemon, &url)?;
    load.allow(&["v1", "v2"]);
    let typed = deploy(&daemon, "v2", "{strategy: canary, canary: {steps: [20, 60%], pause: 5s}}")?;
    let first = at_step(&daemon, 1)?;
    assert_eq!((&first["percent"], &first["steps"]), (&Value::from(20), &Value::from(2)));
    let shown = daemon.cli("status shop")?.ok()?.stdout;
    assert!(shown.contains("20% of clients get") && shown.contains("step 1 of 2"), "{shown}");
    let lot =
        |number: u8| format!("nd-canary-shop={}.{number}", first["release"].as_str().unwrap_or_default());
    assert_eq!(asked(&daemon, &url, &lot(19))?, (200, "v2".to_owned()));
    assert_eq!(asked(&daemon, &url, &lot(20))?, (200, "v1".to_owned()));
    daemon.kill();
    assert_eq!(asked(&daemon, &url, &lot(0))?.1, "v2", "the proxy goes on without the daemon");
    daemon.launch()?;
    let mut steps = Vec::new();
    until("the next step", WAIT, || {
        steps.extend(canary(&daemon).and_then(|canary| canary["percent"].as_u64()));
        assert_eq!(asked(&daemon, &url, &lot(0)).map(|got| got.1).ok().as_deref(), Some("v2"), "{steps:?}");
        steps.last() == Some(&60)
    })?;
    assert_eq!(asked(&daemon, &url, &lot(59))?.1, "v2");
    assert_eq!(asked(&daemon, &url, &lot(60))?.1, "v1");
    let outcome = typed.wait(WAIT)?.ok()?;
    assert_eq!(outcome.stdout.trim(), url);
    for said in ["20% of clients", "60% of clients", "requests served"] {
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    }
    assert_eq!(canary(&daemon), None);
    assert_eq!(asked(&daemon, &url, &lot(99))?.1, "v2");
    load.allow(&["v2"]);
    lost_nothing(load)
}

#[test]
fn a_canary_whose_answers_fail_is_taken_back_and_the_others_never_notice() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let url = deploy(&daemon, "v1", "{}")?.wait(WAIT)?.ok()?.stdout.trim().to_owned();
    let load = load_on(&daemon, &url)?;
    load.allow(&["v1", "v2"]);
    let rollout = "{strategy: canary, canary: {steps: [10, 50], pause: 1m, abort_if: {error_rate: 1%}}}";
    let typed = deploy(&daemon, "v2", rollout)?;
    let release = at_step(&daemon, 1)?["release"].as_str().unwrap_or_default().to_owned();
    let lot = format!("nd-canary-shop={release}.0");
    assert_eq!(asked(&daemon, &format!("{url}/sicken"), &lot)?.1, "v2");
    until("the way back", WAIT, || {
        let failing = asked(&daemon, &format!("{url}/health"), &lot);
        failing.is_ok_and(|(status, release)| status == 200 && release == "v1")
    })?;
    let outcome = typed.wait(WAIT)?.expect_code(1)?;
    assert!(outcome.stderr.contains("requests failed (5xx), 1% may"), "{}", outcome.stderr);
    load.allow(&["v1"]);
    lost_nothing(load)
}

#[test]
fn a_canary_is_promoted_or_cancelled_by_hand() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let url = deploy(&daemon, "v1", "{}")?.wait(WAIT)?.ok()?.stdout.trim().to_owned();
    let load = load_on(&daemon, &url)?;
    load.allow(&["v1", "v2", "v3"]);
    for (release, verb, code) in [("v2", "cancel", 1), ("v3", "promote", 0)] {
        let typed = deploy(&daemon, release, "{strategy: canary, canary: {steps: [10], pause: 1h}}")?;
        at_step(&daemon, 1)?;
        let page = daemon.api_get("/api/v1/apps/shop/deployments?limit=1")?;
        let id = page.pointer("/items/0/id").and_then(Value::as_str).ok_or("no deployment")?.to_owned();
        daemon.cli(&format!("{verb} {id}"))?.ok()?;
        typed.wait(WAIT)?.expect_code(code)?;
        daemon.cli(&format!("promote {id}"))?.expect_code(5)?;
    }
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v3"));
    load.allow(&["v3"]);
    // Whoever goes back is in a hurry.
    load.allow(&["v1", "v3"]);
    daemon.cli("rollback shop")?.ok()?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"));
    lost_nothing(load)
}
