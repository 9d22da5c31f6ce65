//! An app that nobody asks for sleeps, and the next visitor wakes it.

use std::time::Duration;

use nd_e2e::{Daemon, Options, Programs, Result, Site, WAIT, runs_as_root, until};

/// Deploys a plain process that sleeps after two seconds without a request; answers its URL.
fn deploy(daemon: &Daemon, release: &str) -> Result<String> {
    let program = daemon.programs().testapp.display();
    let user = if runs_as_root() { "user: root\n" } else { "" };
    let file = format!(
        "app: {{name: shop}}\ncommand: [{program}]\n{user}sleep_after: 2s\nenv: {{TESTAPP_RELEASE: {release}}}\n"
    );
    std::fs::write(daemon.site().folder().join("nextdeploy.yml"), file)?;
    Ok(daemon.cli("deploy")?.ok()?.stdout.trim().to_owned())
}

#[test]
fn an_app_sleeps_and_the_next_request_wakes_it_also_after_the_daemon_was_killed() -> Result {
    let mut daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())?;
    let url = deploy(&daemon, "v1")?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"));
    let asleep = daemon.wait_phase("shop", "sleeping")?;
    assert!(asleep.to_string().contains("the next one wakes it"), "{asleep}");
    let shown = daemon.cli("status shop")?.ok()?.stdout;
    assert!(shown.contains("sleeping"), "{shown}");
    let program = daemon.programs().testapp.clone();
    let runs = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
    until("its process has ended", WAIT, || !daemon.unit_processes().iter().any(runs))?;

    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"), "it waits until the app is awake");
    daemon.wait_phase("shop", "running")?;
    let events = daemon.cli("events shop")?.ok()?.stdout;
    assert!(events.contains("sleep: no request for 2s") && events.contains("wake"), "{events}");

    daemon.wait_phase("shop", "sleeping")?;
    daemon.kill();
    daemon.launch()?;
    daemon.wait_phase("shop", "sleeping")?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v1"));

    daemon.wait_phase("shop", "sleeping")?;
    daemon.cli("start shop")?.ok()?;
    daemon.wait_phase("shop", "running")?;
    daemon.wait_phase("shop", "sleeping")?;
    deploy(&daemon, "v2")?;
    assert_eq!(daemon.get(&url)?.header("x-release"), Some("v2"));
    Ok(())
}

#[test]
fn what_is_in_flight_keeps_an_app_awake() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let url = deploy(&daemon, "v1")?;
    let (target, host, _) = daemon.route(&url)?;
    let mut load = nd_e2e::Load::new(&target, &host, &["v1"]);
    load.websockets(1)?;
    let quiet = until("it sleeps", Duration::from_secs(6), || {
        daemon.app("shop").is_ok_and(|app| app["phase"] == "sleeping")
    });
    assert!(quiet.is_err(), "a WebSocket is open");
    let tally = load.stop();
    assert_eq!(tally.failed, 0);
    daemon.wait_phase("shop", "sleeping").map(drop)
}
