//! An instance that stands by: it serves when the other one is killed or hangs, and what failed comes back fenced.

use std::fs;
use std::time::{Duration, Instant};

use nd_e2e::{
    Daemon, Load, Options, Programs, Result, Site, WAIT, has_ended, kill, runs_as_root, until, until_some,
};
use rustix::process::Signal;

/// As written below.
const COOLDOWN: Duration = Duration::from_secs(4);

/// An app with a mirror that is ready; its URL.
fn mirrored(daemon: &Daemon) -> Result<String> {
    let folder = daemon.site().folder();
    let manifest = format!(
        "version: \"1.0\"\napp: {{name: shop}}\ncommand: [\"{}\"]\nenv: {{TESTAPP_RELEASE: v1}}\n{}\
         mirror: {{cooldown: 4s, sync: [/srv/sessions]}}\n\
         deployment: {{stop: {{grace: 1s}}, rollout: {{drain: 2s}},\n\
         \u{20} container: {{healthcheck: {{path: /health, interval: 1s, timeout: 1s}}}}}}\n",
        daemon.programs().testapp.display(),
        if runs_as_root() { "user: root\n" } else { "" }
    );
    fs::write(folder.join("nextdeploy.yml"), manifest)?;
    let url = daemon.cli("deploy")?.ok()?.stdout.trim().to_owned();
    until("the mirror stands by", WAIT, || mirror(daemon, "ready") && !mirror(daemon, "serves"))?;
    Ok(url)
}

/// What is said of the mirror.
fn mirror(daemon: &Daemon, what: &str) -> bool {
    let said = |app: serde_json::Value| app.get("mirror")?.get(what)?.as_bool();
    daemon.app("shop").ok().and_then(said).unwrap_or(false)
}

/// The process of an instance, by its slot.
fn pid(daemon: &Daemon, slot: u64) -> Option<i32> {
    let app = daemon.app("shop").ok()?;
    let is = |unit: &serde_json::Value, key: &str, value: serde_json::Value| unit.get(key) == Some(&value);
    let mut units = app.get("units")?.as_array()?.iter();
    let unit = units.find(|unit| is(unit, "slot", slot.into()) && is(unit, "state", "ready".into()))?;
    unit.get("pid")?.as_i64().and_then(|pid| i32::try_from(pid).ok())
}

/// Which instance answers.
fn instance(daemon: &Daemon, url: &str) -> Result<String> {
    Ok(daemon.get(url)?.header("x-instance").unwrap_or_default().to_owned())
}

fn load_on(daemon: &Daemon, url: &str, clients: usize) -> Result<Load> {
    let (target, host, _) = daemon.route(url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(clients, Duration::from_millis(10))?;
    until("requests", WAIT, || load.tally().sent > 100)?;
    Ok(load)
}

/// Waits until what failed serves again; checks that it was gone, and for how long.
fn comes_back(daemon: &Daemon, url: &str, (main, home): (i32, &str), failed: Instant) -> Result {
    until("the mirror's turn", WAIT, || mirror(daemon, "serves"))?;
    let shown = daemon.cli("status shop")?.ok()?.stdout;
    assert!(shown.contains("-2 serves, what failed is tried again in"), "{shown}");
    until("the end of what failed", WAIT, || has_ended(main))?;
    let again = until_some("its return", WAIT, || pid(daemon, 1).filter(|pid| *pid != main))?;
    assert!(failed.elapsed() >= COOLDOWN, "after {:?}, as {again}", failed.elapsed());
    until("the mirror stands by again", WAIT, || mirror(daemon, "ready") && !mirror(daemon, "serves"))?;
    assert_ne!(instance(daemon, url)?, home, "it is another process");
    let events = daemon.api_get("/api/v1/events?app=shop&limit=200")?;
    let items = events.get("items").and_then(serde_json::Value::as_array).into_iter().flatten();
    let types: Vec<&str> = items.filter_map(|event| event.get("type")?.as_str()).collect();
    assert!(types.contains(&"failover.started") && types.contains(&"failover.ended"), "{types:?}");
    Ok(())
}

#[test]
fn when_the_main_instance_is_killed_under_load_the_mirror_serves_and_nothing_fails() -> Result {
    let daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())?;
    let url = mirrored(&daemon)?;
    let home = instance(&daemon, &url)?;
    let load = load_on(&daemon, &url, 16)?;
    let main = pid(&daemon, 1).ok_or("no main instance")?;
    let failed = Instant::now();
    kill(main, Signal::KILL);
    comes_back(&daemon, &url, (main, &home), failed)?;
    let failures = load.failures();
    assert_eq!(load.stop().failed, 0, "{failures:#?}");
    Ok(())
}

#[test]
fn when_the_main_instance_hangs_the_first_failed_check_moves_the_traffic_and_it_is_killed() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let url = mirrored(&daemon)?;
    let home = instance(&daemon, &url)?;
    let load = load_on(&daemon, &url, 8)?;
    let main = pid(&daemon, 1).ok_or("no main instance")?;
    let failed = Instant::now();
    kill(main, Signal::STOP);
    until("an answer of the mirror", WAIT, || {
        instance(&daemon, &url).is_ok_and(|instance| instance != home && !instance.is_empty())
    })?;
    assert!(failed.elapsed() < Duration::from_secs(8), "{:?}", failed.elapsed());
    comes_back(&daemon, &url, (main, &home), failed)?;
    let failures = load.failures();
    let tally = load.stop();
    // What hung with it is cut at the end of the drain time, one request of each client at most.
    assert!(tally.failed <= 8, "{tally:?} {failures:#?}");
    Ok(())
}
