//! Versions change under load, and nobody outside notices: no request is lost, truncated or answered by the wrong one.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Programs, Result, WAIT, until};

#[test]
fn five_swaps_lose_no_request_no_stream_and_no_websocket() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let url = daemon.deploy("shop", "r0", &["--instances", "2"])?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["r0"]);
    load.requests(16, Duration::from_millis(5))?;
    load.downloads(8)?;
    load.websockets(8)?;
    load.uploads(4)?;
    load.event_streams(4)?;
    load.http2(2, Duration::from_millis(5))?;
    further(&load)?;
    for swap in 1..=5 {
        let (old, new) = (format!("r{}", swap - 1), format!("r{swap}"));
        let closed = load.closed_1012();
        load.allow(&[&old, &new]);
        daemon.deploy("shop", &new, &["--instances", "2"])?;
        load.allow(&[&new]);
        further(&load)?;
        until("the WebSockets' way to the new version", WAIT, || load.closed_1012() >= closed + 8)?;
        assert_eq!(load.tally().failed, 0, "{:#?}", load.failures());
    }
    let failures = load.failures();
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{failures:#?}");
    assert!(tally.sent > 500, "{tally:?}");
    Ok(())
}

#[test]
fn a_rollback_under_load_loses_nothing() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    let url = daemon.deploy("shop", "v2", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v2"]);
    load.requests(16, Duration::from_millis(5))?;
    further(&load)?;
    load.allow(&["v1", "v2"]);
    daemon.cli("rollback shop")?.ok()?;
    load.allow(&["v1"]);
    further(&load)?;
    assert_eq!(load.tally().failed, 0, "{:#?}", load.failures());
    Ok(())
}

#[test]
fn a_version_that_fails_is_not_noticed_by_anyone() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    further(&load)?;
    assert!(daemon.deploy("shop", "v2", &["-e", "TESTAPP_EXIT_CODE=3"]).is_err());
    further(&load)?;
    assert_eq!(load.tally().failed, 0, "{:#?}", load.failures());
    Ok(())
}

/// Lets the load go on for a second, and at least until it has got further.
fn further(load: &Load) -> Result {
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", WAIT, || begun.elapsed() > Duration::from_secs(1) && load.tally().sent > before)?;
    Ok(())
}
