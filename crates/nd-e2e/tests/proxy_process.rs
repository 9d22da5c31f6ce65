//! The data plane in processes of its own: it serves on while the daemon is killed, restarted and ended.

use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Programs, Result, Site, WAIT, get, has_ended, kill, until};
use rustix::process::Signal;

/// From a start to the first answers of all apps.
const BACK: Duration = Duration::from_secs(2);

/// A daemon whose proxy has processes of its own.
fn daemon() -> Result<Daemon> {
    Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())
}

/// Lets the load go on for a second, and at least until it has got further.
fn further(load: &Load) -> Result {
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", WAIT, || begun.elapsed() > Duration::from_secs(1) && load.tally().sent > before)?;
    Ok(())
}

#[test]
fn no_request_fails_while_the_daemon_is_killed_and_started_again() -> Result {
    let mut daemon = daemon()?;
    daemon.deploy("blog", "b1", &[])?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let worker = daemon.proxies("--worker");
    assert_eq!(worker.len(), 1);
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    load.downloads(4)?;
    for _ in 0..3 {
        further(&load)?;
        daemon.kill();
        further(&load)?;
        daemon.launch()?;
    }
    daemon.wait_phase("shop", "running")?;
    load.allow(&["v1", "v2"]);
    daemon.deploy("shop", "v2", &[])?;
    load.allow(&["v2"]);
    further(&load)?;
    let failures = load.failures();
    assert_eq!(load.stop().failed, 0, "{failures:#?}");
    assert_eq!(daemon.proxies("--worker"), worker);
    Ok(())
}

#[test]
fn a_proxy_that_was_killed_is_back_with_its_routes() -> Result {
    let daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, path) = daemon.route(&url)?;
    let good = || get(&target, &host, &path).is_ok_and(|answer| answer.status == 200);
    for mode in ["--worker", "proxy"] {
        for pid in daemon.proxies(mode) {
            kill(pid, Signal::KILL);
            until("the end of a process", WAIT, || has_ended(pid))?;
        }
        until("an answer", WAIT, good)?;
    }
    daemon.deploy("shop", "v2", &[])?;
    Ok(())
}

#[test]
fn the_routes_of_a_daemon_that_serves_by_itself_are_back_within_two_seconds_of_its_start() -> Result {
    let mut daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let urls = [
        daemon.deploy("shop", "v1", &[])?,
        daemon.deploy("blog", "v1", &[])?,
        daemon.deploy("docs", "v1", &[])?,
    ];
    let mut times = Vec::new();
    for _ in 0..3 {
        daemon.kill();
        let begun = Instant::now();
        daemon.spawn()?;
        until("the routes", WAIT, || {
            urls.iter().all(|url| daemon.get(url).is_ok_and(|answer| answer.status == 200))
        })?;
        times.push(begun.elapsed());
    }
    // The machine may be busy once or twice.
    assert!(times.iter().min() < Some(&BACK), "{times:?}");
    Ok(())
}

#[test]
fn a_daemon_that_ends_leaves_the_proxy_to_the_next_one_as_long_as_there_are_apps() -> Result {
    let mut daemon = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let worker = daemon.proxies("--worker");
    daemon.signal(Signal::TERM);
    daemon.wait_end(WAIT)?;
    assert_eq!(daemon.get(&url)?.status, 200);
    daemon.launch()?;
    assert_eq!(daemon.proxies("--worker"), worker);
    daemon.cli("destroy shop --yes")?.ok()?;
    daemon.signal(Signal::TERM);
    daemon.wait_end(WAIT)?;
    until("the end of the proxy", WAIT, || daemon.proxies("proxy").is_empty())?;
    Ok(())
}
