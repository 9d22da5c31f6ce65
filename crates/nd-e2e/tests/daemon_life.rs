//! The daemon itself: who may talk to it, who may start it, and how it ends.

use std::process::Command;
use std::time::Duration;

use nd_e2e::{Connection, Daemon, Options, Programs, Result, Target, WAIT, get, until};
use rustix::process::Signal;

/// The whole daemon is down within this.
const SHUTDOWN: Duration = Duration::from_secs(25);

fn daemon(options: Options) -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, options)
}

#[test]
fn sigterm_leaves_apps_running_and_the_next_daemon_finds_them() -> Result {
    let mut daemon = daemon(Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let before = daemon.get(&url)?.header("x-instance").map(str::to_owned);
    let running = daemon.unit_processes();
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_end(SHUTDOWN)?.success());
    let log = daemon.site().log();
    let end = log.find("Received SIGTERM, starting graceful shutdown...").ok_or("it did not say so")?;
    let last = log.get(end..).and_then(|rest| rest.lines().find(|line| line.contains("Daemon Stats: ")));
    let last = last.ok_or("no final statistics")?;
    assert!(last.contains(r#"Daemon Stats: {"uptime":""#), "{last}");
    assert!(last.contains(r#","restarts":0,"crashes":0,"status":"stopped"}"#), "{last}");
    assert!(running.len() >= 2, "a shim and its app: {running:?}");
    assert_eq!(daemon.unit_processes(), running);
    daemon.launch()?;
    until("an answer", WAIT, || daemon.get(&url).is_ok_and(|answer| answer.status == 200))?;
    assert_eq!(daemon.get(&url)?.header("x-instance").map(str::to_owned), before);
    Ok(())
}

#[test]
fn with_stop_apps_sigterm_stops_them_and_the_next_start_brings_them_back() -> Result {
    let mut daemon = daemon(Options { flags: vec!["--stop-apps".to_owned()], ..Options::default() })?;
    let url = daemon.deploy("shop", "v1", &[])?;
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_end(SHUTDOWN)?.success());
    until("the end of the app", WAIT, || daemon.unit_processes().len() <= 1)?;
    daemon.launch()?;
    until("an answer", WAIT, || daemon.get(&url).is_ok_and(|answer| answer.status == 200))?;
    Ok(())
}

#[test]
fn sighup_reads_the_settings_again_and_never_ends_it() -> Result {
    let daemon = daemon(Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let pid = daemon.pid();
    daemon.signal(Signal::HUP);
    until("the reload", WAIT, || daemon.site().log().contains("settings read again: "))?;
    assert_eq!(daemon.get(&url)?.status, 200);
    assert_eq!(
        daemon.api_get("/api/v1/daemon")?.get("pid").and_then(serde_json::Value::as_i64),
        pid.map(i64::from)
    );
    Ok(())
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused_and_told_the_pid() -> Result {
    let daemon = daemon(Options::default())?;
    let second = Command::new(&daemon.programs().daemon)
        .args(["run", "--dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
        .arg(daemon.site().data())
        .output()?;
    assert_eq!(second.status.code(), Some(5));
    let pid = daemon.pid().ok_or("no pid")?.to_string();
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(stderr.contains(&pid), "{stderr}");
    assert_eq!(get(&Target::Unix(daemon.site().socket()), "nextdeployd", "/healthz")?.text().trim(), "ok");
    Ok(())
}

#[test]
fn tcp_needs_the_token_and_the_unix_socket_does_not() -> Result {
    let daemon = daemon(Options { dev: false, ..Options::default() })?;
    let tcp = Target::Tcp(daemon.site().api);
    let host = daemon.site().api.to_string();
    let refused = get(&tcp, &host, "/status")?;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("curl --unix-socket"), "{}", refused.text());
    assert_eq!(get(&tcp, &host, "/healthz")?.status, 200);
    let token_file = daemon.site().data().join("token");
    let token = std::fs::read_to_string(&token_file)?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&token_file)?.permissions());
    assert_eq!(mode & 0o777, 0o600);
    let asked = |token: &str| -> Result<u16> {
        let mut connection = Connection::open(&tcp, &host, WAIT)?.with_token(token);
        Ok(connection.request("GET", "/status", &[], b"")?.status)
    };
    assert_eq!(asked(token.trim())?, 200);
    assert_eq!(asked("ndt_wrong")?, 401);
    assert_eq!(daemon.control()?.request("GET", "/status", &[], b"")?.status, 200);
    Ok(())
}

#[test]
fn in_development_loopback_is_trusted_but_no_foreign_host_or_origin() -> Result {
    let daemon = daemon(Options::default())?;
    let tcp = Target::Tcp(daemon.site().api);
    let host = daemon.site().api.to_string();
    assert_eq!(get(&tcp, &host, "/status")?.status, 200);
    assert!(matches!(get(&tcp, "evil.example", "/status")?.status, 401 | 403));
    let mut connection = Connection::open(&tcp, &host, WAIT)?;
    let answer = connection.request("GET", "/status", &[("origin", "http://evil.example")], b"")?;
    assert!(matches!(answer.status, 401 | 403), "{}", answer.status);
    Ok(())
}

#[test]
fn a_killed_app_is_back_and_its_end_is_counted() -> Result {
    let daemon = daemon(Options::default())?;
    let url = daemon.deploy("shop", "v1", &[])?;
    let before = daemon.get(&url)?.header("x-instance").map(str::to_owned).ok_or("no instance")?;
    let pid: i32 = before.rsplit('-').next().unwrap_or_default().parse()?;
    nd_e2e::kill(pid, Signal::KILL);
    until("another instance", WAIT, || {
        daemon
            .get(&url)
            .is_ok_and(|answer| answer.status == 200 && answer.header("x-instance") != Some(before.as_str()))
    })?;
    until("the count", WAIT, || {
        daemon.app("shop").is_ok_and(|app| app.get("restarts").is_some_and(|restarts| restarts == 1))
    })?;
    Ok(())
}
