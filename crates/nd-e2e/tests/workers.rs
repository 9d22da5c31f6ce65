//! The workers inside the daemon: each may panic, and nobody who sends requests to an app notices.

use std::time::Duration;

use nd_e2e::{Daemon, Load, Options, Programs, Result, WAIT, until, until_some};
use rustix::process::Signal;
use serde_json::Value;

fn workers(daemon: &Daemon) -> Option<Vec<Value>> {
    daemon.api_get("/api/v1/workers").ok()?.get("items")?.as_array().cloned()
}

fn text<'v>(worker: &'v Value, field: &str) -> &'v str {
    worker.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn every_worker_panics_once_and_is_back_while_traffic_flows() -> Result {
    let programs = Programs::from_env()?;
    let variables = [("ND_FAILPOINT", "panic-workers"), ("WATCHDOG_USEC", "300000000")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let daemon = Daemon::start(&programs, Options { variables, ..Options::default() })?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let names: Vec<String> =
        workers(&daemon).ok_or("no workers")?.iter().map(|worker| text(worker, "name").to_owned()).collect();
    for name in [
        "engine",
        "api-unix",
        "api-tcp",
        "log-retention",
        "restart-count",
        "host-stats",
        "statistics",
        "watchdog",
    ] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }

    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(8, Duration::from_millis(2))?;
    until("traffic", WAIT, || load.tally().sent > 100)?;
    daemon.signal(Signal::USR2);
    let back = until_some("every worker back after its panic", WAIT, || {
        let workers = workers(&daemon)?;
        let is_back = |worker: &Value| {
            worker.get("panics").and_then(Value::as_u64) == Some(1)
                && text(worker, "state") == "running"
                && text(worker, "last_failure").starts_with("panicked:")
        };
        workers.iter().all(is_back).then_some(workers)
    })?;
    assert_eq!(back.len(), names.len());
    // What the workers do is done as before: an app is deployed, stopped, and crashes are answered.
    load.allow(&["v1", "v2"]);
    daemon.deploy("shop", "v2", &[])?;
    let instance = daemon.get(&url)?.header("x-instance").map(str::to_owned).ok_or("no instance")?;
    let failures = load.failures();
    assert_eq!(load.stop().failed, 0, "{failures:#?}");
    let pid: i32 = instance.rsplit('-').next().unwrap_or_default().parse()?;
    nd_e2e::kill(pid, Signal::KILL);
    until_some("the count of the crash", WAIT, || {
        (daemon.app("shop").ok()?.get("restarts")?.as_u64()? >= 1).then_some(())
    })?;
    daemon.cli("stop shop")?.ok()?;
    daemon.signal(Signal::TERM);
    let mut daemon = daemon;
    assert!(daemon.wait_end(Duration::from_secs(25))?.success());
    Ok(())
}
