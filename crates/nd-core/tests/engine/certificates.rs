//! Certificates: ordered for what is routed, renewed in time, tried again with pauses, and served all the while.

use std::sync::Arc;
use std::time::Duration;

use nd_core::Engine;
use nd_core::certs::{CertSettings, CertStatus};
use nd_core::engine::{DeployRequest, EngineHandle};
use nd_core::events::Event;
use nd_core::ports::{ChallengeKind, EdgeTls, PortError, PortErrorKind, RevocationReason};
use nd_core::registry::RegistryBuilder;
use nd_core::spec::{AppSpec, RouteSpec, TlsSpec};
use nd_supervise::Clock;
use nd_testkit::fake::{FakeCerts, FakeIngress, FakeIssuer, FakeSolver, fake_cert};
use nd_types::{EdgeState, HostPattern, IngressKind, PathPrefix, RouteOptions, TlsState};

use crate::world::*;

const DAY: Duration = Duration::from_secs(86_400);

/// An app behind this host.
fn site(host: &str) -> AppSpec {
    let host = HostPattern::pattern(host).unwrap();
    let route = RouteSpec { host, path: PathPrefix::root(), options: RouteOptions::default() };
    AppSpec { routes: vec![route], ..web("") }
}

/// The same with its own wishes about certificates.
fn with_tls(name: &str, tls: TlsSpec) -> AppSpec {
    AppSpec { tls: Arc::new(tls), ..site(name) }
}

fn host(name: &str) -> HostPattern {
    HostPattern::pattern(name).unwrap()
}

fn settings() -> CertSettings {
    CertSettings {
        listen: vec!["127.0.0.1:8443".parse().unwrap()],
        fallback: None,
        issuer: "authority".parse().ok(),
    }
}

/// A world whose daemons order of one authority and keep what they get on one shelf.
struct Certified {
    world: World,
    issuer: Arc<FakeIssuer>,
    shelf: Arc<FakeCerts>,
    /// Who writes into the DNS, under the names `one` and `two`.
    solvers: [Arc<FakeSolver>; 2],
}

impl Certified {
    fn new() -> Self {
        let world = World::new();
        let issuer = FakeIssuer::new("authority".parse().unwrap(), world.clock.clone());
        let solvers = [(), ()].map(|()| Arc::new(FakeSolver::new(&[ChallengeKind::Dns01])));
        Self { world, issuer: Arc::new(issuer), shelf: Arc::new(FakeCerts::new()), solvers }
    }

    async fn daemon(&self) -> TestResult<Daemon> {
        self.daemon_with(self.world.registry()).await
    }

    async fn daemon_with(&self, registry: RegistryBuilder) -> TestResult<Daemon> {
        let (issuer, shelf) = (Arc::clone(&self.issuer), Arc::clone(&self.shelf));
        let [one, two] = self.solvers.clone();
        let registry = registry.issuer(issuer).certs(shelf);
        let registry = registry.solver("one".parse()?, one).solver("two".parse()?, two).build()?;
        let builder = Engine::builder(registry).clock(self.world.clock.clone()).certs(settings());
        self.world.start(builder).await
    }

    /// So many days later, when the worker has looked at the clock.
    async fn days_later(&self, days: i64) {
        self.world.clock.set_ahead(jiff::SignedDuration::from_hours(24 * days));
        pass(Duration::from_secs(1200)).await;
    }

    fn tls(&self) -> Arc<TlsState> {
        Arc::clone(&self.world.ingress.state().tls)
    }
}

/// Waits until the certificate of a name stands as `wanted` says.
async fn until(
    engine: &EngineHandle,
    name: &str,
    wanted: impl Fn(&CertStatus) -> bool,
) -> TestResult<CertStatus> {
    let name = host(name);
    let poll = async {
        loop {
            let all = engine.certs();
            if let Some(found) = all.iter().find(|one| one.names.contains(&name) && wanted(one)) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(7200), poll).await {
        Ok(found) => Ok(found),
        Err(_) => Err(format!("never came true; last seen: {:?}", engine.certs()).into()),
    }
}

fn is_issued(status: &CertStatus) -> bool {
    status.cert.is_some() && !status.is_ordered
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_routed_gets_a_certificate_and_the_proof_is_gone_afterwards() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    let status = until(&daemon.engine, "shop.example.com", is_issued).await?;
    assert_eq!((status.app.as_ref(), status.orders.len(), status.error), (Some(&shop), 1, None));
    let tls = certified.tls();
    assert_eq!((tls.certificates.len(), tls.listen.len()), (1, 1));
    assert!(tls.certificate("shop.example.com").is_some());
    let history = certified.world.ingress.history();
    assert!(history.iter().any(|state| state.tls.challenges.len() == 1) && tls.challenges.is_empty());
    assert_eq!(daemon.count(|event| matches!(event, Event::CertIssued { .. })).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn its_url_says_https_once_the_certificate_serves() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    certified.issuer.refuse(PortError::new(PortErrorKind::Invalid, "the name does not lead here"));
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    let url =
        || daemon.engine.status(&shop).and_then(|status| daemon.engine.url(&status)).unwrap_or_default();
    until(&daemon.engine, "shop.example.com", |status| status.error.is_some()).await?;
    assert!(url().starts_with("http://shop.example.com"), "{}", url());
    daemon.engine.renew_cert(&host("shop.example.com")).await?;
    until(&daemon.engine, "shop.example.com", is_issued).await?;
    assert_eq!(url(), "https://shop.example.com:8443");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_when_its_issuer_says_so_and_a_restart_orders_nothing() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    let first = until(&daemon.engine, "shop.example.com", is_issued).await?;
    daemon.shut_down().await?;

    let daemon = certified.daemon().await?;
    until(&daemon.engine, "shop.example.com", |status| status.renewal.is_some()).await?;
    assert_eq!(certified.issuer.orders().len(), 1);
    assert!(certified.tls().certificate("shop.example.com").is_some(), "what is kept serves at once");

    let serial = |status: &CertStatus| status.cert.as_ref().map(|cert| cert.serial.clone());
    certified.days_later(59).await;
    assert_eq!(certified.issuer.orders().len(), 1);
    certified.days_later(1).await;
    until(&daemon.engine, "shop.example.com", |now| serial(now) != serial(&first)).await?;
    assert_eq!(certified.issuer.orders().len(), 2, "when a third of its life is left");
    assert_eq!(daemon.count(|event| matches!(event, Event::CertRenewed { .. })).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn after_failures_it_is_tried_again_with_growing_pauses_that_a_restart_keeps() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    for _ in 0..3 {
        certified.issuer.refuse(PortError::new(PortErrorKind::Unavailable, "the authority is down"));
    }
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    let failed = until(&daemon.engine, "shop.example.com", |status| status.orders.len() == 3).await?;
    assert!(failed.error.is_some_and(|error| error.contains("the authority is down")));
    let now = certified.world.clock.wall();
    let pause = failed.retry_at.map(|at| at.duration_since(now).as_secs()).unwrap_or_default();
    assert!((230..300).contains(&pause), "four minutes and some: {pause}");
    daemon.shut_down().await?;

    let daemon = certified.daemon().await?;
    until(&daemon.engine, "shop.example.com", |status| status.app.is_some()).await?;
    assert_eq!(certified.issuer.orders().len(), 3);
    until(&daemon.engine, "shop.example.com", is_issued).await?;
    assert_eq!(certified.issuer.orders().len(), 4);
    assert_eq!(daemon.count(|event| matches!(event, Event::CertFailed { .. })).await?, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_new_deployment_is_a_reason_to_try_again_unless_the_authority_has_asked_to_wait() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    certified.issuer.refuse(PortError::new(PortErrorKind::Invalid, "the name does not lead here"));
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    until(&daemon.engine, "shop.example.com", |status| status.orders.len() == 1).await?;
    certified.issuer.refuse(PortError::new(PortErrorKind::Exhausted, "too many").with_retry_after(DAY));
    let next = |value: &str| AppSpec { env: [("A".into(), value.into())].into(), ..site("shop.example.com") };
    daemon.serve(&shop, next("1")).await?;
    until(&daemon.engine, "shop.example.com", |status| status.orders.len() == 2).await?;
    daemon.serve(&shop, next("2")).await?;
    pass(Duration::from_secs(3600)).await;
    assert_eq!(certified.issuer.orders().len(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_renewed_is_told_before_it_expires() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    until(&daemon.engine, "shop.example.com", is_issued).await?;
    for _ in 0..1000 {
        certified.issuer.refuse(PortError::new(PortErrorKind::Unavailable, "the authority is down"));
    }
    for days in [65, 5, 2, 12, 5, 4] {
        certified.days_later(days).await;
    }
    assert_eq!(daemon.count(|event| matches!(event, Event::CertExpiring { .. })).await?, 3);
    assert!(certified.tls().certificate("shop.example.com").is_some(), "it is better than none");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_certificate_can_be_renewed_by_hand_replaced_by_ones_own_and_revoked() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, site("shop.example.com")).await?;
    let first = until(&daemon.engine, "shop.example.com", is_issued).await?;
    let name = host("shop.example.com");
    let second = daemon.engine.renew_cert(&name).await?;
    assert_ne!(second.cert.map(|cert| cert.serial), first.cert.map(|cert| cert.serial));
    assert!(daemon.engine.renew_cert(&host("other.example.com")).await.is_err());

    daemon.engine.remove_cert(&name, Some(RevocationReason::KeyCompromise)).await?;
    assert_eq!(certified.issuer.revoked().len(), 1);
    until(&daemon.engine, "shop.example.com", is_issued).await?;
    let own = fake_cert(&[host("*.example.com")], "somebody", certified.world.clock.wall(), 90 * DAY);
    certified.shelf.knows(own.clone());
    let (chain, key) = (own.certificate.chain.clone(), own.certificate.key.clone());
    let brought = daemon.engine.import_cert(chain, key).await?;
    assert_eq!(brought.issuer, None);
    let orders = certified.issuer.orders().len();
    certified.days_later(80).await;
    assert_eq!(certified.issuer.orders().len(), orders, "nothing is ordered for what somebody brought");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_is_told_once_and_tried_again() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let bind = "127.0.0.1:8443".parse()?;
    certified.world.ingress.take_port(bind, "nginx (pid 7)");
    let daemon = certified.daemon().await?;
    daemon.serve(&shop, web("")).await?;
    pass(Duration::from_secs(300)).await;
    let is_told =
        |event: &Event| matches!(event, Event::Trouble { message } if message.contains("nginx (pid 7)"));
    assert_eq!(daemon.count(is_told).await?, 1);
    let before = certified.world.ingress.state().generation;
    pass(Duration::from_secs(60)).await;
    assert!(certified.world.ingress.state().generation > before, "it is offered again and again");
    certified.world.ingress.free_port(bind);
    pass(Duration::from_secs(60)).await;
    let settled = certified.world.ingress.state().generation;
    pass(Duration::from_secs(300)).await;
    assert_eq!(certified.world.ingress.state().generation, settled);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_beside_us_shows_the_proof_and_the_certificate_of_its_apps_alone() -> TestResult {
    let (certified, shop, blog) = (Certified::new(), app("shop"), app("blog"));
    let https = "127.0.0.1:9443".parse().unwrap();
    let nginx = Arc::new(FakeIngress::of(IngressKind::Nginx, &[]).with_tls(EdgeTls::At(https)));
    let registry = || certified.world.registry().ingress(nginx.clone()).default_ingress(IngressKind::Nginx);
    let daemon = certified.daemon_with(registry()).await?;
    assert_eq!(nginx.history().len(), 1, "nothing is said where no app is");
    daemon.serve(&shop, site("shop.example.com")).await?;
    until(&daemon.engine, "shop.example.com", is_issued).await?;
    let shows = |state: &EdgeState| state.tls.certificate("shop.example.com").is_some();
    assert!(nginx.history().iter().any(|state| state.tls.challenges.len() == 1));
    assert!(shows(&nginx.state()) && nginx.state().tls.challenges.is_empty());
    let own = certified.world.ingress.history();
    assert!(own.iter().all(|state| state.tls.challenges.is_empty()), "nobody would look for it there");
    let status = daemon.engine.status(&shop).ok_or("no app")?;
    assert_eq!(daemon.engine.url(&status).as_deref(), Some("https://shop.example.com:9443"));

    let before = nginx.history().len();
    let revision = daemon.engine.set_ingress(&shop, IngressKind::Embedded, "me").await?;
    daemon.settled(&shop, revision).await?;
    daemon.serve(&blog, site("blog.example.com")).await?;
    until(&daemon.engine, "blog.example.com", is_issued).await?;
    let told = nginx.history();
    assert!(told.len() > before && told.last().is_some_and(|state| !shows(state)));

    daemon.kill();
    let since = nginx.history().len();
    let daemon = certified.daemon_with(registry()).await?;
    daemon.until(&blog, |status| status.settled && status.ready == 1).await?;
    let with_blog = |state: &Arc<EdgeState>| state.tls.certificate("blog.example.com").is_some();
    assert!(nginx.history().iter().skip(since).all(with_blog), "what is kept serves from the first state on");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn names_are_proven_by_the_dns_provider_that_the_app_names_and_the_issuer_writes_to_its_address()
-> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    let (dns_provider, email) = ("two".parse().ok(), Some("shop@example.com".to_owned()));
    let tls = TlsSpec { dns_provider, email, ..TlsSpec::default() };
    daemon.serve(&shop, with_tls("shop.example.com", tls)).await?;
    until(&daemon.engine, "shop.example.com", is_issued).await?;
    assert_eq!(certified.solvers.each_ref().map(|solver| solver.cleanups()), [0, 1]);
    let order = certified.issuer.orders().pop().ok_or("no order")?;
    assert_eq!(order.email.as_deref(), Some("shop@example.com"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_issuer_or_a_dns_provider_that_nobody_is_called_is_refused_with_those_there_are() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    let refused = async |tls: TlsSpec| {
        let wish = DeployRequest::new(&shop, with_tls("shop.example.com", tls), "a test");
        match daemon.engine.deploy(wish).await {
            Ok(_) => Err("it was taken".to_owned()),
            Err(nd_core::engine::EngineError::Certificates(error)) => {
                Ok(format!("{error}; {}", error.fix.as_deref().unwrap_or("no fix")))
            }
            Err(other) => Err(other.to_string()),
        }
    };
    let issuer = refused(TlsSpec { issuer: "zerosll".parse().ok(), ..TlsSpec::default() }).await?;
    assert_eq!(issuer, "no issuer is called zerosll; write one of authority into `ssl.provider`");
    let solver = refused(TlsSpec { dns_provider: "three".parse().ok(), ..TlsSpec::default() }).await?;
    assert_eq!(solver, "no DNS provider is called three; write one of one, two into `ssl.dns_provider`");
    assert!(daemon.engine.status(&shop).is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_renewed_is_told_with_its_end_at_once_and_left_alone() -> TestResult {
    let (certified, shop) = (Certified::new(), app("shop"));
    let daemon = certified.daemon().await?;
    let tls = TlsSpec { auto_renew: false, ..TlsSpec::default() };
    daemon.serve(&shop, with_tls("shop.example.com", tls)).await?;
    let status = until(&daemon.engine, "shop.example.com", is_issued).await?;
    let end = status.cert.map(|cert| cert.not_after).ok_or("no certificate")?;
    pass(Duration::from_secs(60)).await;
    let told = |event: &Event| matches!(event, Event::CertExpiring { not_after, .. } if *not_after == end);
    assert_eq!(daemon.count(told).await?, 1, "at once");
    for days in [65, 5, 2, 12, 5, 4] {
        certified.days_later(days).await;
    }
    assert_eq!(daemon.count(told).await?, 4, "and 21, 7 and 1 days before");
    assert_eq!(certified.issuer.orders().len(), 1, "it has expired by now, and nothing is ordered");
    let status = until(&daemon.engine, "shop.example.com", is_issued).await?;
    assert_eq!(status.renewal, None);
    Ok(())
}
