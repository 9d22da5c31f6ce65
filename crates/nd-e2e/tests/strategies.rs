//! Every strategy replaces a version under load, and nobody outside notices.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Programs, Result, Site, WAIT, until};

#[test]
fn a_rolling_deployment_replaces_three_instances_and_loses_nothing() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let flags = ["--instances", "3", "--strategy", "rolling"];
    let url = daemon.deploy("shop", "v1", &flags)?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    load.downloads(4)?;
    load.websockets(4)?;
    further(&load)?;
    load.allow(&["v1", "v2"]);
    daemon.deploy("shop", "v2", &flags)?;
    load.allow(&["v2"]);
    further(&load)?;
    load.allow(&["v1", "v2"]);
    daemon.cli("rollback shop")?.ok()?;
    load.allow(&["v1"]);
    further(&load)?;
    lost_nothing(load)
}

#[test]
fn a_rolling_deployment_whose_first_instance_dies_half_way_goes_back_unnoticed() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let flags = ["--instances", "2", "--strategy", "rolling"];
    let url = daemon.deploy("shop", "v1", &flags)?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    further(&load)?;
    load.allow(&["v1", "v2"]);
    // The first one dies while the second one is on its way.
    let dies = ["-e", "TESTAPP_START_DELAY_MS=1000", "-e", "TESTAPP_DIE_AFTER_MS=1500"];
    let crashes = [&flags[..], &dies].concat();
    assert!(daemon.deploy("shop", "v2", &crashes).is_err());
    load.allow(&["v1"]);
    further(&load)?;
    lost_nothing(load)
}

#[test]
fn every_swap_has_its_receipt_and_a_version_whose_answers_fail_is_rolled_back_by_itself() -> Result {
    has_receipts_and_goes_back(Site::new()?)
}

#[test]
fn a_proxy_of_its_own_gives_receipts_and_notices_failing_answers_too() -> Result {
    has_receipts_and_goes_back(Site::with_own_proxy()?)
}

fn has_receipts_and_goes_back(site: Site) -> Result {
    let daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(8, Duration::from_millis(5))?;
    further(&load)?;
    load.allow(&["v1", "v2"]);
    daemon.deploy("shop", "v2", &[])?;
    let receipt = last_deployment(&daemon)?.pointer("/receipt").cloned().ok_or("no receipt")?;
    let figure = |name: &str| receipt.get(name).and_then(serde_json::Value::as_u64);
    assert!(figure("served") > Some(0), "{receipt}");
    assert_eq!((figure("failed"), figure("cut")), (Some(0), Some(0)), "{receipt}");
    let shown = daemon.cli("deployments shop")?.ok()?.stdout;
    assert!(shown.contains("succeeded"), "{shown}");
    // The load would hide what comes now.
    lost_nothing(load)?;
    daemon.get(&format!("{url}/sicken"))?;
    for _ in 0..400 {
        daemon.get(&format!("{url}/health"))?;
    }
    until("the old version's return", WAIT, || {
        daemon.get(&url).is_ok_and(|it| it.header("x-release") == Some("v1"))
    })?;
    until("the end of the rollback", WAIT, || {
        last_deployment(&daemon)
            .is_ok_and(|last| last.get("status").is_some_and(|status| status == "rolled_back"))
    })?;
    let why = last_deployment(&daemon)?.pointer("/error/what").map(ToString::to_string).unwrap_or_default();
    assert!(why.contains("requests failed (5xx) since it took over"), "{why}");
    Ok(())
}

fn last_deployment(daemon: &Daemon) -> Result<serde_json::Value> {
    let page = daemon.api_get("/api/v1/apps/shop/deployments?limit=1")?;
    Ok(page.pointer("/items/0").cloned().ok_or("no deployment")?)
}

fn lost_nothing(load: Load) -> Result {
    let failures = load.failures();
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{failures:#?}");
    assert!(tally.sent > 100, "{tally:?}");
    Ok(())
}

/// Lets the load go on for a second, and at least until it has got further.
fn further(load: &Load) -> Result {
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", WAIT, || begun.elapsed() > Duration::from_secs(1) && load.tally().sent > before)?;
    Ok(())
}
