//! What is watched after a deployment: health, memory, and restarts that nobody notices.

use std::fs;
use std::time::Duration;

use nd_e2e::{Daemon, Load, Options, Programs, Result, WAIT, runs_as_root, until_some};
use serde_json::Value;

/// A daemon with an app of plain processes that is deployed with these lines in its file; its URL.
fn supervised(lines: &str) -> Result<(Daemon, String)> {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let folder = daemon.site().folder().join("project");
    fs::create_dir(&folder)?;
    let program = daemon.programs().testapp.display();
    let user = if runs_as_root() { "user: root\n" } else { "" };
    let file = format!("version: \"1.0\"\napp: {{name: shop}}\ncommand: [\"{program}\"]\n{user}{lines}\n");
    fs::write(folder.join("nextdeploy.yml"), file)?;
    let url = daemon.type_in(&folder, &["deploy"])?.wait(WAIT)?.ok()?.stdout.trim().to_owned();
    Ok((daemon, url))
}

/// Waits for an event of this kind whose line says this.
fn event(daemon: &Daemon, kind: &str, says: &str) -> Result<Value> {
    let path = format!("/api/v1/events?app=shop&type={kind}");
    until_some(&format!("{kind} with {says:?}"), WAIT * 2, || {
        let page = daemon.api_get(&path).ok()?;
        let said = |event: &&Value| event["title"].as_str().is_some_and(|title| title.contains(says));
        page.get("items")?.as_array()?.iter().find(said).cloned()
    })
}

#[test]
fn an_instance_that_turns_ill_is_taken_out_of_the_pool_and_then_started_anew() -> Result {
    let health =
        "deployment: {container: {healthcheck: {path: /health, interval: 1s, timeout: 1s, retries: 2}}}";
    let (daemon, url) = supervised(&format!("{health}\nscale: {{instances: 2}}"))?;
    let ill = daemon.get(&format!("{url}/sicken"))?.header("x-instance").ok_or("no x-instance")?.to_owned();
    let out = event(&daemon, "instance.unhealthy", "GET ")?;
    assert!(out["title"].as_str().is_some_and(|title| title.contains("503")), "{out}");
    for _ in 0..20 {
        let answer = daemon.get(&url)?;
        assert_eq!(answer.status, 200);
        assert_ne!(answer.header("x-instance"), Some(ill.as_str()), "the ill one still gets requests");
    }
    event(&daemon, "instance.started", "it had failed its health checks")?;
    daemon.wait_phase("shop", "running")?;
    Ok(())
}

#[test]
fn an_instance_over_its_memory_limit_is_replaced_without_a_failed_request() -> Result {
    let (daemon, url) = supervised("restart: {max_memory: 64M}")?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["unset"]);
    load.requests(4, Duration::from_millis(5))?;
    daemon.get(&format!("{url}/leak?mb=80"))?;
    event(&daemon, "instance.started", "it had used more memory than `max_memory`")?;
    daemon.wait_phase("shop", "running")?;
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "of {} requests", tally.sent);
    Ok(())
}

#[test]
fn a_reload_of_an_only_instance_loses_no_request() -> Result {
    let (daemon, url) = supervised("")?;
    let before = daemon.get(&url)?.header("x-instance").ok_or("no x-instance")?.to_owned();
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["unset"]);
    load.requests(8, Duration::from_millis(1))?;
    daemon.cli("reload shop")?.ok()?;
    let after = until_some("another instance", WAIT, || {
        daemon.get(&url).ok()?.header("x-instance").map(ToOwned::to_owned).filter(|after| *after != before)
    })?;
    daemon.wait_phase("shop", "running")?;
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "of {} requests; {before} → {after}", tally.sent);
    Ok(())
}
