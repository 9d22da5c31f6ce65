//! Caddy as ingress, with a Caddy of one's own.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use nd_core::ports::{Ingress, PortErrorKind};
use nd_ingress::{CaddyCertificates, CaddySettings, Https, caddy_ingress};
use nd_testkit::contract::{ContractResult, ingress};
use nd_testkit::free_address;
use nd_testkit::servers::CaddyServer;

use crate::support::{APP, App, Result, ask, echoes, state, until};

fn beside(server: &CaddyServer) -> Result<Arc<dyn Ingress>> {
    let settings = CaddySettings { admin: server.admin(), http: server.http, ..CaddySettings::default() };
    Ok(caddy_ingress(&settings, server.folder().join("kept"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_keeps_the_contract() -> ContractResult {
    let servers = RefCell::new(Vec::new());
    let start = || {
        let server = CaddyServer::start().unwrap();
        let ingress = beside(&server).unwrap();
        servers.borrow_mut().push(server);
        ingress
    };
    ingress::run(start).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_sites_stay_as_they_are_where_the_port_is_shared() -> Result {
    let (server, app) = (CaddyServer::start_shared()?, App::start().await?);
    let ingress = beside(&server)?;
    let applied = ingress.apply(state(1, &[APP, "user.localhost"], Some(app.address))?).await?;
    assert_eq!(ask(server.http, APP).await?, (200, "app".to_owned()));
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    assert!(echoes(server.http, APP).await?);
    let fault = applied.faults.first().ok_or("nobody is told that the site is taken")?;
    assert!(fault.error.contains("user.localhost is a site of Caddy's own configuration"), "{fault:?}");

    ingress.apply(state(2, &[], None)?).await?;
    assert_ne!(ask(server.http, APP).await?, (200, "app".to_owned()));
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caddy_that_starts_anew_has_our_routes_within_two_seconds() -> Result {
    let (mut server, app) = (CaddyServer::start()?, App::start().await?);
    let ingress = beside(&server)?;
    ingress.apply(state(1, &[APP], Some(app.address))?).await?;
    server.kill();
    server.launch()?;
    let began = Instant::now();
    let http = server.http;
    until("the routes", || async move { ask(http, APP).await.is_ok_and(|(status, _)| status == 200) })
        .await?;
    assert!(began.elapsed().as_secs_f64() < 2.0, "{:?}", began.elapsed());
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_before_this_one_had_applied_is_gone_on_with() -> Result {
    let (server, app) = (CaddyServer::start()?, App::start().await?);
    let before = state(41, &[APP], Some(app.address))?;
    beside(&server)?.apply(Arc::clone(&before)).await?;
    let ingress = beside(&server)?;
    assert_eq!(ingress.serving().await?, before);
    let older = ingress.apply(state(41, &[], None)?).await;
    assert_eq!(older.map_err(|error| error.kind), Err(PortErrorKind::Conflict));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_api_that_is_off_is_named_with_what_to_do() -> Result {
    let mut server = CaddyServer::start()?;
    let text = fs::read_to_string(server.caddyfile())?;
    let admin = server.admin();
    fs::write(server.caddyfile(), text.replace(&format!("admin {admin}"), "admin off"))?;
    server.kill();
    fs::remove_file(server.folder().join("admin.sock")).ok();
    server.launch()?;
    let ingress = beside(&server)?;
    for refused in [ingress.check().await.err(), ingress.apply(state(1, &[APP], None)?).await.err()] {
        let error = refused.ok_or("nobody can have taken it")?;
        assert_eq!(error.kind, PortErrorKind::Unavailable);
        assert!(error.to_string().contains("reach Caddy's admin API at /"), "{error}");
        assert!(error.fix.is_some_and(|fix| fix.contains("admin off")));
    }
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_are_served_over_tls_with_certificates_of_caddys_own() -> Result {
    let (mut server, app) = (CaddyServer::start()?, App::start().await?);
    let https = free_address()?;
    let ports = format!("{{\n\thttp_port {}\n\thttps_port {}\n", server.http.port(), https.port());
    let text = fs::read_to_string(server.caddyfile())?;
    fs::write(server.caddyfile(), text.replacen("{\n", &ports, 1))?;
    server.kill();
    server.launch()?;

    let settings = CaddySettings {
        admin: server.admin(),
        http: server.http,
        https: Some(Https::At(https)),
        certificates: CaddyCertificates::Caddy,
    };
    let ingress = caddy_ingress(&settings, server.folder().join("kept"))?;
    ingress.apply(state(1, &[APP], Some(app.address))?).await?;
    assert_eq!(ask(server.http, APP).await?.0, 308, "it leads to the other one");
    let (status, body) = ask(https, APP).await?;
    assert_eq!((status, body.trim()), (400, "Client sent an HTTP request to an HTTPS server."));
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));

    ingress.apply(state(2, &[], None)?).await?;
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    Ok(())
}
