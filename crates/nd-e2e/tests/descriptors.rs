//! A daemon that may have few files open: whoever is served is served on, and it works as before when there is room again.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nd_e2e::{Connection, Daemon, Load, Options, Programs, Result, Site, Target, WAIT, until};

/// Clients that connect and say nothing.
const IDLE: usize = 400;
/// However little room there is, how the daemon is, is told within this time.
const STATUS: Duration = Duration::from_secs(5);

/// Connects so often as the other side takes it.
fn crowd(target: &Target) -> Result<Vec<TcpStream>> {
    let Target::Tcp(address) = target else { return Err("the proxy listens on TCP".into()) };
    (0..IDLE).map(|_| Ok(TcpStream::connect_timeout(address, WAIT)?)).collect()
}

fn serves_on_with_256_files(site: Site) -> Result {
    let options = Options { descriptors: Some("-n 256"), ..Options::default() };
    let daemon = Daemon::start_at(site, &Programs::from_env()?, options)?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, path) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(8, Duration::from_millis(5))?;
    load.http2(2, Duration::from_millis(5))?;
    load.uploads(1)?;
    let further = || {
        let before = load.tally().sent;
        until("requests", WAIT, || load.tally().sent > before + 100)
    };
    further()?;
    let crowd = crowd(&target)?;
    further()?;
    let asked = Instant::now();
    daemon.cli("status shop")?.ok()?;
    assert!(asked.elapsed() < STATUS, "{:?}", asked.elapsed());
    further()?;
    drop(crowd);
    until("a place for a new client", WAIT, || {
        let answer =
            Connection::open(&target, &host, WAIT).and_then(|mut new| new.request("GET", &path, &[], b""));
        answer.is_ok_and(|answer| answer.status == 200)
    })?;
    load.allow(&["v1", "v2"]);
    daemon.deploy("shop", "v2", &[])?;
    load.allow(&["v2"]);
    further()?;
    let failures = load.failures();
    assert_eq!(load.stop().failed, 0, "{failures:#?}");
    Ok(())
}

#[test]
fn with_256_files_whoever_is_served_is_served_on_and_deployments_work() -> Result {
    serves_on_with_256_files(Site::new()?)
}

#[test]
fn with_256_files_each_a_proxy_of_its_own_does_so_too() -> Result {
    serves_on_with_256_files(Site::with_own_proxy()?)
}

#[test]
fn what_the_shell_gives_is_raised_to_what_the_system_allows() -> Result {
    let options = Options { descriptors: Some("-n 4096 && ulimit -Sn 256"), ..Options::default() };
    let daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, options)?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let crowd = crowd(&daemon.route(&url)?.0)?;
    for _ in 0..20 {
        assert_eq!(daemon.get(&url)?.status, 200);
    }
    drop(crowd);
    Ok(())
}
