//! TLS: which certificate a name gets, who is let in, and that nothing is lost when certificates change.

pub(crate) mod authority;
mod clients;
mod handshakes;
mod hellos;
mod protocols;
mod tickets;

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::Proxy;
use nd_types::{Certificate, Challenge, Hsts, ServiceTls};
use tokio_rustls::rustls::{HandshakeKind, SupportedProtocolVersion};

use crate::http2::client::Client as Http2;
use crate::support::*;
use authority::{Authority, Visitor};

/// A proxy that speaks TLS, where it does, and an app behind `app.test`.
struct Secure {
    proxy: Proxy,
    address: SocketAddr,
    authority: Authority,
    app: Upstream,
    generation: u64,
}

impl Secure {
    async fn start() -> Result<Self> {
        Self::start_with(|state, _| state).await
    }

    async fn start_with(change: impl FnOnce(State, &Authority) -> State) -> Result<Self> {
        Self::start_on(start(settings())?, change).await
    }

    async fn start_on(proxy: Proxy, change: impl FnOnce(State, &Authority) -> State) -> Result<Self> {
        let (authority, app) = (Authority::new()?, Upstream::named("app").await?);
        let address = free_port().await?;
        let this = Self { proxy, address, authority, app, generation: 1 };
        let state = this.state(this.authority.certificate(&["app.test"])?);
        apply(&this.proxy, change(state, &this.authority)).await?;
        Ok(this)
    }

    fn state(&self, certificate: Arc<Certificate>) -> State {
        let state = State::new(self.generation).app("app", "aaaaaa", &[self.app.address]);
        state.tls(|tls| {
            tls.listen = vec![self.address];
            tls.certificates.push(certificate);
        })
    }

    /// Whoever trusts the authority.
    fn visitor(&self) -> Result<Visitor> {
        Visitor::trusting(&self.authority)
    }

    /// The same, with one version alone.
    fn visitor_speaking(&self, version: &'static SupportedProtocolVersion) -> Result<Visitor> {
        Visitor::speaking(&self.authority, &[version])
    }
}

fn asking(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn an_app_is_reached_over_tls_and_told_so() -> Result<()> {
    let secure = Secure::start().await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    let answer = wire.get("/").await?;
    assert!(answer.text().contains("X-Forwarded-Proto: https\r\n"), "{}", answer.text());
    assert!(answer.text().contains(";proto=https\r\n"), "{}", answer.text());
    assert_eq!(wire.get("/again").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn http_2_is_agreed_on() -> Result<()> {
    let secure = Secure::start().await?;
    let stream = secure.visitor()?.offering(&["h2", "http/1.1"]).connect(secure.address, "app.test").await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let answer = Http2::over(stream).await?.get("/").await?;
    assert!(answer.status() == 200 && answer.text().contains("X-Forwarded-Proto: https"));
    Ok(())
}

#[tokio::test]
async fn a_wildcard_stands_for_one_label_and_an_exact_name_comes_first() -> Result<()> {
    let secure = Secure::start_with(|state, authority| {
        let wildcard = authority.certificate(&["*.app.test"]);
        let exact = authority.certificate(&["a.app.test"]);
        state
            .route("*.app.test", "/", "app")
            .tls(|tls| tls.certificates.extend(wildcard.into_iter().chain(exact)))
    })
    .await?;
    let visitor = secure.visitor()?;
    for (name, certified) in [("b.app.test", "*.app.test"), ("a.app.test", "a.app.test")] {
        let stream = visitor.connect(secure.address, name).await?;
        assert_eq!(authority::name_of(&stream)?, certified);
    }
    assert!(visitor.connect(secure.address, "a.b.app.test").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_name_without_a_certificate_gets_the_fallback_and_an_answer() -> Result<()> {
    let secure = Secure::start_with(|state, authority| {
        let fallback = authority.certificate(&["fallback.test"]).ok();
        state.tls(|tls| tls.fallback = fallback)
    })
    .await?;
    let careless = Visitor::careless()?;
    for name in ["other.test", "127.0.0.1"] {
        let mut wire = Wire::new(careless.connect(secure.address, name).await?);
        wire.send(asking("other.test")).await?;
        assert_eq!(wire.response().await?.status(), 404, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_fallback_a_name_that_is_not_known_gets_no_connection() -> Result<()> {
    let secure = Secure::start().await?;
    assert!(Visitor::careless()?.connect(secure.address, "other.test").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_request_for_another_name_than_that_of_its_connection_is_misdirected() -> Result<()> {
    let secure = Secure::start_with(|state, authority| {
        let other = authority.certificate(&["other.test"]);
        state.route("other.test", "/", "app").tls(|tls| tls.certificates.extend(other))
    })
    .await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    wire.send(asking("other.test")).await?;
    assert_eq!(wire.response().await?.status(), 421);
    wire.send(asking("APP.test:443")).await?;
    assert_eq!(wire.response().await?.status(), 200, "case and port do not count");
    Ok(())
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_gets_an_answer_that_says_so() -> Result<()> {
    let secure = Secure::start().await?;
    let mut wire = Wire::connect(secure.address).await?;
    let answer = wire.get("/").await?;
    assert!(answer.status() == 400 && answer.text().contains("https://"), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn plain_http_is_led_to_tls_but_for_what_proves_a_name() -> Result<()> {
    let secure = Secure::start_with(|state, _| {
        let wants = ServiceTls { redirect: true, ..ServiceTls::default() };
        let proof = Challenge::Http01 { token: "tok-1".to_owned(), answer: "tok-1.print".to_owned() };
        state.with(|service| service.tls = Arc::new(wants)).tls(|tls| tls.challenges.push(proof))
    })
    .await?;
    let mut wire = Wire::connect(secure.proxy.http_addr()).await?;
    let moved = wire.get("/x?y=1").await?;
    let port = secure.address.port();
    assert_eq!(moved.field("location"), Some(format!("https://app.test:{port}/x?y=1")));
    assert_eq!(moved.status(), 308);
    let proof = wire.get("/.well-known/acme-challenge/tok-1").await?;
    assert_eq!((proof.status(), proof.text().as_str()), (200, "tok-1.print"));
    assert_eq!(wire.get("/.well-known/acme-challenge/tok-2").await?.status(), 308);
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    assert_eq!(wire.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_name_without_a_certificate_is_not_led_to_tls() -> Result<()> {
    let secure = Secure::start_with(|state, _| {
        let wants = ServiceTls { redirect: true, ..ServiceTls::default() };
        state.with(|service| service.tls = Arc::new(wants)).route("bare.test", "/", "app")
    })
    .await?;
    let mut wire = Wire::connect(secure.proxy.http_addr()).await?;
    wire.send(asking("bare.test")).await?;
    assert_eq!(wire.response().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn browsers_are_told_to_come_with_tls_over_tls_alone() -> Result<()> {
    let secure = Secure::start_with(|state, _| {
        let hsts = Hsts { max_age: Duration::from_secs(600), include_subdomains: true, preload: false };
        let wants = ServiceTls { hsts: Some(hsts), ..ServiceTls::default() };
        state.with(|service| service.tls = Arc::new(wants))
    })
    .await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    let line = wire.get("/").await?.field("strict-transport-security");
    assert_eq!(line.as_deref(), Some("max-age=600; includeSubDomains"));
    let plain = Wire::connect(secure.proxy.http_addr()).await?.get("/").await?;
    assert_eq!(plain.field("strict-transport-security"), None);
    Ok(())
}

#[tokio::test]
async fn a_challenge_is_answered_with_its_own_certificate() -> Result<()> {
    let secure = Secure::start_with(|state, authority| {
        let proof = authority.proof("app.test");
        state.tls(|tls| tls.challenges.extend(proof.map(|certificate| Challenge::TlsAlpn01 { certificate })))
    })
    .await?;
    let asker = Visitor::careless()?.offering(&["acme-tls/1"]);
    let stream = asker.connect(secure.address, "app.test").await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert!(asker.connect(secure.address, "other.test").await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_app_may_let_in_only_clients_with_a_certificate() -> Result<()> {
    let secure = Secure::start_with(|state, authority| {
        let wants = ServiceTls { client_ca: Some(authority.pem()), ..ServiceTls::default() };
        state.with(|service| service.tls = Arc::new(wants))
    })
    .await?;
    let known = Visitor::showing(&secure.authority, &secure.authority)?;
    let mut wire = Wire::new(known.connect(secure.address, "app.test").await?);
    assert_eq!(wire.get("/").await?.status(), 200);
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    assert_eq!(wire.get("/").await?.status(), 403, "without a certificate, in words");
    let stranger = Visitor::showing(&secure.authority, &Authority::new()?)?;
    let refused = async {
        let mut wire = Wire::new(stranger.connect(secure.address, "app.test").await?);
        wire.get("/").await
    };
    assert!(refused.await.is_err(), "with the certificate of somebody else");
    let plain = Wire::connect(secure.proxy.http_addr()).await?.get("/").await?;
    assert_eq!(plain.status(), 403);
    assert_eq!(secure.app.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_disturbs_none() -> Result<()> {
    let mut secure = Secure::start().await?;
    let visitor = secure.visitor()?;
    let mut old = Wire::new(visitor.connect(secure.address, "app.test").await?);
    assert_eq!(old.get("/").await?.status(), 200);
    let renewed = secure.authority.certificate(&["app.test", "more.test"])?;
    secure.generation += 1;
    apply(&secure.proxy, secure.state(renewed).route("more.test", "/", "app")).await?;
    assert_eq!(old.get("/").await?.status(), 200);
    let mut new = Wire::new(visitor.connect(secure.address, "more.test").await?);
    new.send(asking("more.test")).await?;
    assert_eq!(new.response().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_client_that_comes_again_needs_no_full_handshake() -> Result<()> {
    let mut secure = Secure::start().await?;
    let visitor = secure.visitor()?;
    let handshake = async |visitor: &Visitor, address| -> Result<Option<HandshakeKind>> {
        let stream = visitor.connect(address, "app.test").await?;
        let kind = stream.get_ref().1.handshake_kind();
        // The ticket comes with the first answer.
        Wire::new(stream).get("/").await?;
        Ok(kind)
    };
    assert_eq!(handshake(&visitor, secure.address).await?, Some(HandshakeKind::Full));
    assert_eq!(handshake(&visitor, secure.address).await?, Some(HandshakeKind::Resumed));
    secure.generation += 1;
    let certificate = secure.authority.certificate(&["app.test"])?;
    apply(&secure.proxy, secure.state(certificate)).await?;
    let again = handshake(&visitor, secure.address).await?;
    assert_eq!(again, Some(HandshakeKind::Resumed), "also with a renewed certificate");
    Ok(())
}

#[tokio::test]
async fn long_bodies_pass_both_ways() -> Result<()> {
    let secure = Secure::start().await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    let body = "x".repeat(3_000_000);
    wire.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        .await?;
    let answer = wire.response().await?;
    assert!(answer.status() == 200 && answer.text().ends_with(&body));
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_cut_is_an_error_over_tls() -> Result<()> {
    let secure = Secure::start().await?;
    let cut = Upstream::raw(|mut wire, _| async move {
        wire.through("\r\n\r\n").await?;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await
    })
    .await?;
    let certificate = secure.authority.certificate(&["app.test"])?;
    let state = State::new(2).app("app", "bbbbbb", &[cut.address]);
    let state = state.tls(|tls| (tls.listen, tls.certificates) = (vec![secure.address], vec![certificate]));
    apply(&secure.proxy, state).await?;
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    assert!(wire.get("/").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_ends_in_time() -> Result<()> {
    let authority = Authority::new()?;
    let proxy = start(Settings { header_read_timeout: Duration::from_millis(200), ..settings() })?;
    let address = free_port().await?;
    let certificate = authority.certificate(&["app.test"])?;
    let tls = State::new(1).tls(|tls| (tls.listen, tls.certificates) = (vec![address], vec![certificate]));
    apply(&proxy, tls).await?;
    let mut silent = Wire::connect(address).await?;
    let mut slow = Wire::connect(address).await?;
    slow.send([22, 3, 1, 2, 0, 1]).await?;
    silent.closed().await?;
    slow.closed().await?;
    until("both are gone", || proxy.stats().connections == 0).await
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_fault_of_nobody_and_everything_else_serves() -> Result<()> {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let taken = holder.local_addr()?;
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).tls(|tls| tls.listen = vec![taken]);
    let applied = proxy.apply(state.build()?).await.map_err(Error::other)?;
    let faults: Vec<_> = applied.faults.iter().map(|fault| (fault.bind, fault.app.as_ref())).collect();
    assert_eq!(faults, [(taken, None)]);
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 200);
    Ok(())
}
