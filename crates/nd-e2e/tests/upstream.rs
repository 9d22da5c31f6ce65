//! A server that something else runs, behind a domain of ours.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nd_e2e::{Answer, Daemon, Load, Options, Programs, Result, Site, Target, WAIT, get, runs_as_root, until};
use nd_testkit::free_address;
use serde_json::Value;

const HOST: &str = "legacy.example.com";

/// A server that the daemon knows nothing of.
struct Elsewhere {
    address: SocketAddr,
    release: &'static str,
    child: Child,
}

impl Elsewhere {
    fn start(release: &'static str) -> Result<Self> {
        Self::start_at(free_address()?, release)
    }

    fn start_at(address: SocketAddr, release: &'static str) -> Result<Self> {
        let mut command = Command::new(Programs::from_env()?.testapp);
        command.env("PORT", address.port().to_string()).env("TESTAPP_RELEASE", release).stdout(Stdio::null());
        let server = Self { address, release, child: command.spawn()? };
        until("a server that listens", WAIT, || TcpStream::connect(address).is_ok())?;
        Ok(server)
    }

    /// What asks for a route to it.
    fn wish(&self) -> String {
        format!(r#"{{"app_name":"legacy","domain":"{HOST}","upstream":"{}"}}"#, self.address)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // One that has ended needs no end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks for it, and waits until it is so.
fn configure(daemon: &Daemon, wish: &str) -> Result {
    let answer = daemon.api_post("/proxy/configure", wish)?;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()?.pointer("/payload/deployment_id").and_then(Value::as_str).map(str::to_owned);
    let path = format!("/api/v1/deployments/{}", id.ok_or("no deployment")?);
    let mut last = Value::Null;
    let over = until("the end of the deployment", WAIT, || {
        last = daemon.api_get(&path).unwrap_or_default();
        last.get("status").and_then(Value::as_str) == Some("succeeded")
    });
    over.map(drop).map_err(|error| format!("{error}: {last}").into())
}

fn refusal(daemon: &Daemon, wish: &str) -> Result<(u16, String)> {
    let answer: Answer = daemon.api_post("/proxy/configure", wish)?;
    let message = answer.json()?.get("message").and_then(Value::as_str).map(str::to_owned);
    Ok((answer.status, message.ok_or("no message")?))
}

/// Who answers visitors of the domain.
fn visited(daemon: &Daemon) -> Result<(u16, String)> {
    let answer = get(&Target::Tcp(daemon.site().http), HOST, "/")?;
    Ok((answer.status, answer.header("x-release").unwrap_or_default().to_owned()))
}

#[test]
fn a_domain_moves_from_one_server_to_another_and_no_request_is_lost() -> Result {
    let (one, two) = (Elsewhere::start("one")?, Elsewhere::start("two")?);
    let mut daemon = Daemon::start_at(Site::with_own_proxy()?, &Programs::from_env()?, Options::default())?;
    configure(&daemon, &one.wish())?;
    assert_eq!(visited(&daemon)?, (200, one.release.to_owned()));
    let mut load = Load::new(&Target::Tcp(daemon.site().http), HOST, &["one", "two"]);
    load.requests(16, Duration::from_millis(2))?;
    load.downloads(2)?;
    configure(&daemon, &two.wish())?;
    load.allow(&["two"]);
    assert_eq!(visited(&daemon)?.1, two.release);
    daemon.kill();
    assert_eq!(visited(&daemon)?.1, two.release, "the proxy goes on without the daemon");
    daemon.launch()?;
    daemon.wait_phase("legacy", "running")?;
    assert_eq!(visited(&daemon)?.1, two.release);
    let failures = load.failures();
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{failures:#?}");
    assert!(tally.sent > 100, "{tally:?}");
    daemon.cli("rollback legacy")?.ok()?;
    assert_eq!(visited(&daemon)?.1, one.release);
    daemon.cli("destroy legacy --yes")?.ok()?;
    assert_eq!(visited(&daemon)?.0, 404);
    let alone = get(&Target::Tcp(one.address), HOST, "/")?;
    assert_eq!(alone.status, 200, "the server itself never notices");
    Ok(())
}

#[test]
fn one_that_goes_away_is_asked_no_more_until_it_is_back() -> Result {
    let server = Elsewhere::start("one")?;
    let (address, daemon) = (server.address, Daemon::start(&Programs::from_env()?, Options::default())?);
    let file = format!(
        "app: {{name: legacy, domain: {HOST}}}\nupstream: {address}\ndeployment: {{container: {{healthcheck: \
         {{tcp: true, interval: 1s, timeout: 1s, retries: 1}}}}}}\n"
    );
    fs::write(daemon.site().folder().join("nextdeploy.yml"), file)?;
    daemon.cli("deploy")?.ok()?;
    assert_eq!(visited(&daemon)?.0, 200);
    drop(server);
    until("the end of requests to it", WAIT, || {
        daemon.app("legacy").is_ok_and(|app| app.pointer("/instances/ready") == Some(&Value::from(0)))
    })?;
    let server = Elsewhere::start_at(address, "one")?;
    until("requests to it", WAIT, || visited(&daemon).is_ok_and(|seen| seen == (200, "one".to_owned())))?;
    drop(server);
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    let elsewhere = r#""upstream":"127.0.0.1:9""#;
    let runs_here = refusal(&daemon, &format!(r#"{{"app_name":"shop",{elsewhere}}}"#))?;
    assert_eq!(runs_here.0, 409);
    assert!(runs_here.1.starts_with("`shop` runs here (runtime process)"), "{runs_here:?}");
    let itself =
        refusal(&daemon, &format!(r#"{{"app_name":"legacy","upstream":"{}"}}"#, daemon.site().http))?;
    assert_eq!(itself.0, 422);
    assert!(itself.1.contains("would go round in circles"), "{itself:?}");
    let port = refusal(&daemon, &format!(r#"{{"app_name":"legacy","port":8080,{elsewhere}}}"#))?;
    assert_eq!(port.0, 400, "{port:?}");
    assert!(port.1.contains("contradict"), "{port:?}");
    for (text, why) in
        [("http://127.0.0.1:4000", "scheme"), ("127.0.0.1", "has no port"), ("0.0.0.0:80", "reached")]
    {
        let wish = format!(r#"{{"app_name":"legacy","upstream":"{text}"}}"#);
        let (status, message) = refusal(&daemon, &wish)?;
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(why), "{message}");
    }
    let unknown = refusal(&daemon, r#"{"app_name":"legacy","domain":"legacy.example.com"}"#)?;
    assert_eq!(unknown, (404, "App not found".to_owned()), "nothing was left behind");
    Ok(())
}

#[test]
fn one_place_is_one_instance() -> Result {
    let (server, daemon) =
        (Elsewhere::start("one")?, Daemon::start(&Programs::from_env()?, Options::default())?);
    configure(&daemon, &server.wish())?;
    let scaled = daemon.cli("scale legacy 2")?.expect_code(5)?;
    assert!(scaled.stderr.contains("is one instance, not 2"), "{}", scaled.stderr);
    let shown = daemon.cli("status legacy")?.ok()?.stdout;
    assert!(shown.contains(&format!("upstream   {}", server.address)), "{shown}");
    // What it became has two instances, and what it was has one again.
    let program = daemon.programs().testapp.display().to_string();
    let user = if runs_as_root() { "user: root\n" } else { "" };
    let file = format!(
        "app: {{name: legacy, domain: {HOST}}}\ncommand: [{program}]\n{user}env: {{TESTAPP_RELEASE: here}}\nscale: {{instances: 2}}\n"
    );
    fs::write(daemon.site().folder().join("nextdeploy.yml"), file)?;
    daemon.cli("deploy")?.ok()?;
    assert_eq!(visited(&daemon)?, (200, "here".to_owned()));
    daemon.cli("rollback legacy")?.ok()?;
    assert_eq!(visited(&daemon)?, (200, server.release.to_owned()));
    Ok(())
}
