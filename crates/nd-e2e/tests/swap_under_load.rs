//! Versions change under load, and nobody outside notices: no request is lost, truncated or answered by the wrong one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Programs, Result, Site, Target, WAIT, get, until};
use nd_testkit::servers::{CaddyServer, NginxServer};

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
fn swaps_behind_a_caddy_lose_no_request() -> Result {
    let caddy = CaddyServer::start()?;
    let settings = format!(
        "[ingress]\nkind = \"caddy\"\n[caddy]\nadmin = \"{}\"\nhttp = \"{}\"\n",
        caddy.admin(),
        caddy.http
    );
    let untaken = swaps_behind(&settings, caddy.http)?;
    // With each change Caddy opens its listeners anew. What waits to be taken on those before is moved, where the daemon may
    // tell the kernel so.
    assert!(untaken == 0 || !moves_untaken(), "{untaken} connections were reset");
    assert_eq!(get(&Target::Tcp(caddy.site), "user.localhost", "/")?.text(), "user");
    Ok(())
}

#[test]
fn swaps_behind_an_nginx_lose_no_request() -> Result {
    let nginx = NginxServer::start()?;
    let settings = format!(
        "[ingress]\nkind = \"nginx\"\n[nginx]\nhttp = \"{}\"\nfile = \"{}\"\nconfig = \"{}\"\npid_file = \"{}\"\n",
        nginx.http,
        nginx.ours().join("nextdeploy.conf").display(),
        nginx.config().display(),
        nginx.pid_file().display()
    );
    assert_eq!(swaps_behind(&settings, nginx.http)?, 0, "its listeners stay");
    assert_eq!(get(&Target::Tcp(nginx.site), "user.localhost", "/")?.text(), "user");
    Ok(())
}

/// Whether the kernel moves connections that nobody has taken to another listener of the same address when theirs is closed.
fn moves_untaken() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
    setting.is_ok_and(|setting| setting.trim() == "1")
}

/// Five swaps behind a server beside the daemon. It closes idle connections with each; nothing else may be noticed but new
/// connections that were reset before it had taken them, which are counted.
fn swaps_behind(settings: &str, http: SocketAddr) -> Result<u64> {
    let site = Site::with_settings(settings)?;
    let daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
    let url = daemon.deploy("shop", "r0", &["--instances", "2"])?;
    assert!(url.contains(&http.port().to_string()), "{url}");
    let mut load = Load::forgiving_closures(&Target::Tcp(http), "shop.localhost", &["r0"]);
    load.requests(16, Duration::from_millis(5))?;
    load.downloads(8)?;
    load.uploads(4)?;
    load.event_streams(4)?;
    further(&load)?;
    for swap in 1..=5 {
        let (old, new) = (format!("r{}", swap - 1), format!("r{swap}"));
        load.allow(&[&old, &new]);
        daemon.deploy("shop", &new, &["--instances", "2"])?;
        load.allow(&[&new]);
        further(&load)?;
        assert_eq!(load.tally().failed, 0, "{:#?}", load.failures());
    }
    let (failures, closed, untaken) = (load.failures(), load.closed_idle(), load.reset_untaken());
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{failures:#?}");
    assert!(tally.sent > 500 && closed < tally.sent / 10, "{tally:?}, {closed} closed");
    assert!(untaken < tally.sent / 100, "{tally:?}, {untaken} reset");
    Ok(untaken)
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
