//! nginx as ingress, with an nginx of one's own.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;

use nd_core::ports::{Ingress, PortErrorKind};
use nd_ingress::{NginxSettings, nginx_ingress};
use nd_testkit::contract::{ContractResult, ingress};
use nd_testkit::servers::NginxServer;

use crate::support::{APP, App, Result, ask, echoes, state};

fn settings(server: &NginxServer) -> NginxSettings {
    NginxSettings {
        http: server.http,
        file: server.ours().join("nextdeploy.conf"),
        config: Some(server.config()),
        pid_file: server.pid_file(),
        ..NginxSettings::default()
    }
}

fn beside(server: &NginxServer) -> Arc<dyn Ingress> {
    nginx_ingress(settings(server), server.folder().join("kept"), false)
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_keeps_the_contract() -> ContractResult {
    let servers = RefCell::new(Vec::new());
    let start = || {
        let server = NginxServer::start().unwrap();
        let ingress = beside(&server);
        servers.borrow_mut().push(server);
        ingress
    };
    ingress::run(start).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_sites_stay_as_they_are_where_the_port_is_shared() -> Result {
    let (server, app) = (NginxServer::start_shared()?, App::start().await?);
    let ingress = beside(&server);
    let applied = ingress.apply(state(1, &[APP, "user.localhost"], Some(app.address))?).await?;
    assert_eq!(ask(server.http, APP).await?, (200, "app".to_owned()));
    assert_eq!(ask(server.site, "user.localhost").await?, (200, "user".to_owned()));
    assert_eq!(ask(server.site, "unknown.localhost").await?, (200, "user".to_owned()), "as it was before");
    assert!(echoes(server.http, APP).await?);
    let fault = applied.faults.first().ok_or("nobody is told that the site is taken")?;
    assert!(fault.error.contains("user.localhost is a site of nginx's own configuration"), "{fault:?}");

    ingress.apply(state(2, &[], None)?).await?;
    assert_eq!(ask(server.site, APP).await?, (200, "user".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_users_own_files_is_said_and_nothing_changed() -> Result {
    let (server, app) = (NginxServer::start()?, App::start().await?);
    let ingress = beside(&server);
    ingress.apply(state(1, &[APP], Some(app.address))?).await?;
    let (ours, good) = (fs::read(settings(&server).file)?, fs::read_to_string(server.users_config())?);
    fs::write(server.users_config(), format!("{good}\nserver {{ lissten 80; }}\n"))?;

    let refused = ingress.apply(state(2, &["blog.localhost"], Some(app.address))?).await;
    let error = refused.err().ok_or("nginx cannot have taken it")?;
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    let said = error.to_string();
    assert!(said.contains("files that are not ours; nothing was changed"), "{said}");
    assert!(said.contains("unknown directive \"lissten\"") && said.contains("user.conf:"), "{said}");
    assert_eq!(fs::read(settings(&server).file)?, ours);
    assert_eq!(ask(server.http, APP).await?, (200, "app".to_owned()), "it serves on");
    assert!(ingress.check().await.is_err());

    fs::write(server.users_config(), good)?;
    ingress.apply(state(3, &["blog.localhost"], Some(app.address))?).await?;
    assert_eq!(ask(server.http, "blog.localhost").await?, (200, "app".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_nginx_does_not_read_is_named_with_what_to_write() -> Result {
    let server = NginxServer::start()?;
    let file = server.folder().join("nextdeploy.conf");
    let settings = NginxSettings { file: file.clone(), ..settings(&server) };
    let refused =
        nginx_ingress(settings, server.folder().join("kept"), false).apply(state(1, &[APP], None)?).await;
    let error = refused.err().ok_or("nginx cannot have taken it")?;
    assert!(error.to_string().contains("nginx does not read"), "{error}");
    assert!(error.fix.is_some_and(|fix| fix.contains("include ")));
    assert!(!file.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_is_not_installed_or_does_not_run_is_said_with_what_to_do() -> Result {
    let mut server = NginxServer::start()?;
    let absent = NginxSettings { program: "no-such-nginx".into(), ..settings(&server) };
    let refused = nginx_ingress(absent, server.folder().join("kept"), false).check().await;
    let error = refused.err().ok_or("there is none")?;
    assert_eq!(error.kind, PortErrorKind::Unavailable);
    assert!(error.fix.is_some_and(|fix| fix.contains("apt-get install nginx")));

    let ingress = beside(&server);
    ingress.check().await?;
    server.end();
    let file = settings(&server).file;
    for refused in [ingress.check().await.err(), ingress.apply(state(1, &[APP], None)?).await.err()] {
        let error = refused.ok_or("it does not run")?;
        assert_eq!(
            (error.kind, error.to_string().as_str()),
            (PortErrorKind::Unavailable, "nginx does not run")
        );
        assert!(!file.exists(), "nothing was changed");
    }
    Ok(())
}
