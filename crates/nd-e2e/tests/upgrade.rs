//! A new version takes over from daemon and proxy: nobody who asks notices.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nd_e2e::{Daemon, Load, Options, Programs, Result, Site, WAIT, until};
use rustix::process::Signal;

/// A daemon whose program lies where the test may replace it.
fn daemon() -> Result<(Daemon, PathBuf)> {
    let site = Site::with_own_proxy()?;
    let built = Programs::from_env()?;
    let program = site.folder().join("nextdeployd");
    fs::copy(&built.daemon, &program)?;
    let programs = Programs { daemon: program.clone(), ..built };
    Ok((Daemon::start_at(site, &programs, Options::default())?, program))
}

/// Puts a program into the place of another one, as a package manager does.
fn install(new: &Path, place: &Path) -> Result {
    let beside = place.with_extension("new");
    fs::copy(new, &beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755))?;
    fs::rename(beside, place)?;
    Ok(())
}

/// Whether the file that a process was started from is still there.
fn is_of_the_file(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.exists())
}

fn further(load: &Load) -> Result {
    let (begun, before) = (Instant::now(), load.tally().sent);
    until("requests", WAIT, || begun.elapsed() > Duration::from_secs(1) && load.tally().sent > before)?;
    Ok(())
}

#[test]
fn no_request_fails_while_daemon_and_proxy_are_upgraded() -> Result {
    let (mut daemon, program) = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let before = daemon.proxies("--worker");
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    load.downloads(4)?;
    further(&load)?;
    install(&Programs::from_env()?.daemon, &program)?;
    let pid = daemon.pid().ok_or("no daemon")?;
    assert!(!is_of_the_file(pid));
    daemon.cli("upgrade")?.ok()?;
    assert!(is_of_the_file(pid), "the daemon is the old one");
    until("a proxy of the new version alone", WAIT, || {
        let proxies = daemon.proxies("proxy");
        !proxies.is_empty() && proxies.iter().all(|pid| is_of_the_file(*pid))
    })?;
    assert_ne!(daemon.proxies("--worker"), before);
    further(&load)?;
    load.allow(&["v1", "v2"]);
    daemon.deploy("shop", "v2", &[])?;
    load.allow(&["v2"]);
    further(&load)?;
    let failures = load.failures();
    assert_eq!(load.stop().failed, 0, "{failures:#?}");
    daemon.signal(Signal::TERM);
    daemon.wait_end(WAIT)?;
    assert!(!daemon.site().socket().exists(), "it left its socket behind");
    Ok(())
}

#[test]
fn a_daemon_of_another_version_that_starts_replaces_the_proxy_without_a_failed_request() -> Result {
    let (mut daemon, program) = daemon()?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = Load::new(&target, &host, &["v1"]);
    load.requests(16, Duration::from_millis(5))?;
    install(&Programs::from_env()?.daemon, &program)?;
    daemon.kill();
    daemon.launch()?;
    until("a proxy of the new version alone", WAIT, || {
        let proxies = daemon.proxies("proxy");
        !proxies.is_empty() && proxies.iter().all(|pid| is_of_the_file(*pid))
    })?;
    further(&load)?;
    let failures = load.failures();
    assert_eq!(load.stop().failed, 0, "{failures:#?}");
    Ok(())
}

#[test]
fn a_program_that_does_not_run_is_refused_and_changes_nothing() -> Result {
    let (daemon, program) = daemon()?;
    let workers = daemon.proxies("--worker");
    install(Path::new("/bin/true"), &program)?;
    let refused = daemon.cli("upgrade")?;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("is not nextdeployd"), "{}", refused.stderr);
    assert_eq!(daemon.proxies("--worker"), workers);
    daemon.cli("version")?.ok()?;
    Ok(())
}

#[test]
fn a_daemon_that_serves_by_itself_says_that_it_must_be_restarted() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let refused = daemon.cli("upgrade")?;
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("restart the daemon"), "{}", refused.stderr);
    Ok(())
}
