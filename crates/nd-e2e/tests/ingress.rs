//! Apps behind servers that run beside the daemon.

use nd_e2e::{Daemon, Options, Programs, Result, Site, Target, get};
use nd_testkit::servers::{CaddyServer, NginxServer};
use serde_json::Value;

fn settings(caddy: &CaddyServer, nginx: &NginxServer) -> String {
    format!(
        "[caddy]\nadmin = \"{}\"\nhttp = \"{}\"\n\n[nginx]\nhttp = \"{}\"\nfile = \"{}\"\nconfig = \"{}\"\npid_file = \"{}\"\n",
        caddy.admin(),
        caddy.http,
        nginx.http,
        nginx.ours().join("nextdeploy.conf").display(),
        nginx.config().display(),
        nginx.pid_file().display()
    )
}

/// Status and body of the app at an address.
fn shop(at: std::net::SocketAddr) -> Result<(u16, String)> {
    let answer = get(&Target::Tcp(at), "shop.localhost", "/")?;
    Ok((answer.status, answer.text()))
}

/// Whether nobody serves the app there: the server has other things to do, or nothing.
fn is_gone_from(at: std::net::SocketAddr) -> bool {
    !shop(at).is_ok_and(|(status, _)| status == 200)
}

fn sorted(mut pids: Vec<i32>) -> Vec<i32> {
    pids.sort_unstable();
    pids
}

fn message(answer: &nd_e2e::Answer) -> Result<String> {
    let body = answer.json()?;
    Ok(body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[test]
fn an_app_moves_from_one_proxy_to_another_without_being_started_anew() -> Result {
    let (caddy, nginx) = (CaddyServer::start()?, NginxServer::start()?);
    let site = Site::with_settings(&settings(&caddy, &nginx))?;
    let mut daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    let own = daemon.site().http;
    let units = sorted(daemon.unit_processes());
    let serves = (200, "hello from release v1\n".to_owned());
    let mut before = own;
    for (proxy, at) in
        [("caddy", caddy.http), ("nginx", nginx.http), ("embedded", own), ("nginx", nginx.http)]
    {
        let body = format!(r#"{{"app_name":"shop","proxy_type":"{proxy}"}}"#);
        let answer = daemon.api_post("/proxy/configure", &body)?;
        assert_eq!(
            (answer.status, message(&answer)?.as_str()),
            (200, "Proxy configured"),
            "{}",
            answer.text()
        );
        assert_eq!(shop(at)?, serves, "{proxy}");
        assert!(is_gone_from(before), "{proxy}: the one before has not let go of it");
        before = at;
    }
    // It is remembered.
    daemon.kill();
    daemon.launch()?;
    assert_eq!(shop(nginx.http)?, serves);
    daemon.wait_phase("shop", "running")?;
    assert!(shop(nginx.http)? == serves && is_gone_from(own));
    assert_eq!(sorted(daemon.unit_processes()), units);
    Ok(())
}

#[test]
fn another_domain_is_served_by_the_proxy_that_is_named_with_it() -> Result {
    let (caddy, nginx) = (CaddyServer::start()?, NginxServer::start()?);
    let site = Site::with_settings(&settings(&caddy, &nginx))?;
    let daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    let body = r#"{"app_name":"shop","domain":"shop.example.com","proxy_type":"nginx"}"#;
    let answer = daemon.api_post("/proxy/configure", body)?;
    assert_eq!((answer.status, message(&answer)?.as_str()), (202, "Deployment started"), "{}", answer.text());
    nd_e2e::until("the domain", nd_e2e::WAIT, || {
        let asked = get(&Target::Tcp(nginx.http), "shop.example.com", "/");
        asked.is_ok_and(|answer| answer.status == 200)
    })?;
    Ok(())
}

#[test]
fn a_proxy_that_is_not_there_is_refused_with_what_to_do() -> Result {
    let (mut caddy, nginx) = (CaddyServer::start()?, NginxServer::start()?);
    let site = Site::with_settings(&settings(&caddy, &nginx))?;
    let daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    caddy.kill();
    let answer = daemon.api_post("/proxy/configure", r#"{"app_name":"shop","proxy_type":"caddy"}"#)?;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(message(&answer)?.contains("reach Caddy's admin API"), "{}", answer.text());
    assert_eq!(shop(daemon.site().http)?.0, 200, "it is served as before");

    let unknown = daemon.api_post("/proxy/configure", r#"{"app_name":"blog","proxy_type":"nginx"}"#)?;
    assert_eq!((unknown.status, message(&unknown)?.as_str()), (404, "App not found"));
    let nothing = daemon.api_post("/proxy/configure", r#"{"app_name":"shop"}"#)?;
    assert_eq!(nothing.status, 400, "{}", nothing.text());
    Ok(())
}

#[test]
fn what_a_proxy_cannot_do_is_refused_and_not_ignored() -> Result {
    let (caddy, nginx) = (CaddyServer::start()?, NginxServer::start()?);
    let site = Site::with_settings(&settings(&caddy, &nginx))?;
    let daemon = Daemon::start_at(site, &Programs::from_env()?, Options::default())?;
    daemon.deploy("shop", "v1", &[])?;
    let moved = daemon.api_post("/proxy/configure", r#"{"app_name":"shop","proxy_type":"nginx"}"#)?;
    assert_eq!(moved.status, 200, "{}", moved.text());
    let program = daemon.programs().testapp.display().to_string();
    let user = if nd_e2e::runs_as_root() { "user: root\n" } else { "" };
    let file = format!(
        "app: {{name: shop}}\ncommand: [{program}]\n{user}proxy: {{sticky: cookie, rate_limit: [{{limit: 5/s}}]}}\n"
    );
    std::fs::write(daemon.site().folder().join("nextdeploy.yml"), file)?;
    let refused = daemon.cli("deploy")?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("nginx cannot do proxy.sticky, proxy.rate_limit"), "{said}");
    let paused = daemon.cli("pause shop")?;
    let said = format!("{}{}", paused.stdout, paused.stderr);
    assert!(said.contains("nginx cannot do a pause"), "{said}");
    assert_eq!(shop(nginx.http)?.0, 200);
    daemon.cli("maintenance on shop")?;
    assert_eq!(shop(nginx.http)?, (503, "shop is in maintenance\n".to_owned()));
    Ok(())
}
