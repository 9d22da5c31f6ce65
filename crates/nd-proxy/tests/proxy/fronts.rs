//! Another proxy in front: whose word counts about a client, and what of it reaches the app.

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

use nd_proxy::{Proxy, TrustedProxy};
use nd_types::{Hsts, ServiceTls};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::http2::client::{Client as Http2, with};
use super::support::*;
use super::tls::authority::{Authority, Visitor};

/// One of Cloudflare's addresses, and one of nobody's.
const CLOUDFLARE: &str = "104.16.1.1";
const NOBODY: &str = "198.51.100.9";

/// A proxy that trusts these, and takes a connection's peer from a header of the PROXY protocol.
async fn introduced(app: &Upstream, trusted: &[&str]) -> Result<Proxy> {
    let trusted_proxies = trusted.iter().map(|one| parsed::<TrustedProxy>(one)).collect::<Result<_>>()?;
    let proxy =
        start(Settings { trusted_proxies, proxy_protocol: vec![parsed("127.0.0.0/8")?], ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    Ok(proxy)
}

/// What the app is told when this peer sends these fields.
async fn told(proxy: &Proxy, peer: &str, fields: &str) -> Result<String> {
    let mut wire = Wire::connect(proxy.http_addr()).await?;
    wire.send(format!(
        "PROXY TCP4 {peer} 10.0.0.1 5000 80\r\nGET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n"
    ))
    .await?;
    Ok(wire.response().await?.text())
}

fn assert_lines(seen: &str, lines: &[&str]) {
    for line in lines {
        assert!(seen.contains(&format!("{line}\r\n")), "{line} in {seen}");
    }
}

#[tokio::test]
async fn cloudflare_is_believed_what_it_writes_and_nothing_that_it_passes_on() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app, &["cloudflare"]).await?;
    let seen = told(
        &proxy,
        CLOUDFLARE,
        "CF-Connecting-IP: 203.0.113.7\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
         X-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil.test\r\nForwarded: for=6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n\
         X-Forwarded-Port: 666\r\nCF-Ray: 1\r\n",
    )
    .await?;
    assert_lines(
        &seen,
        &[
            "CF-Connecting-IP: 203.0.113.7",
            "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 104.16.1.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: app.test",
            "X-Real-IP: 203.0.113.7",
            "CF-Ray: 1",
        ],
    );
    for lie in ["evil", "666\r\n", "True-Client-IP", "for=6.6.6.6"] {
        assert!(!seen.contains(lie), "{lie} in {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_else_is_believed_anything_nor_does_it_reach_the_app() -> Result<()> {
    let app = Upstream::named("app").await?;
    for trusted in [&[][..], &["cloudflare"], &["10.0.0.0/8"]] {
        let proxy = introduced(&app, trusted).await?;
        let lies = "CF-Connecting-IP: 6.6.6.6\r\nCF_Connecting_IP: 6.6.6.6\r\nCF-Connecting-IPv6: 6::6\r\n\
                    True-Client-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                    X-Real-IP: 6.6.6.6\r\n";
        let seen = told(&proxy, NOBODY, lies).await?;
        assert!(!seen.contains("6.6.6.6") && !seen.contains("6::6") && !seen.contains("https"), "{seen}");
        assert_lines(&seen, &["X-Forwarded-For: 198.51.100.9", "X-Real-IP: 198.51.100.9"]);
        let mut h2 = {
            let mut stream = TcpStream::connect(proxy.http_addr()).await?;
            stream.write_all(format!("PROXY TCP4 {NOBODY} 10.0.0.1 5000 80\r\n").as_bytes()).await?;
            Http2::over(stream).await?
        };
        let request =
            with("GET", "http://app.test/", &[("cf-connecting-ip", "6.6.6.6"), ("x-real-ip", "6.6.6.6")]);
        let seen = h2.ask(request, b"").await?.text();
        assert!(!seen.contains("6.6.6.6"), "{seen}");
    }
    Ok(())
}

#[tokio::test]
async fn rules_count_the_client_that_cloudflare_names() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app, &["cloudflare"]).await?;
    let state = State::new(2).app("app", "aaaaaa", &[app.address]);
    let denied = parsed("203.0.113.7")?;
    apply(&proxy, state.rules(|rules| rules.access.deny = vec![denied])).await?;
    for (peer, fields, is_denied) in [
        (CLOUDFLARE, "CF-Connecting-IP: 203.0.113.7\r\n", true),
        (CLOUDFLARE, "CF-Connecting-IP: 203.0.113.8\r\nX-Forwarded-For: 203.0.113.7\r\n", false),
        (CLOUDFLARE, "X-Forwarded-For: 203.0.113.8, 203.0.113.7\r\n", true),
        // Of two it could not be said which one was meant.
        (CLOUDFLARE, "CF-Connecting-IP: 203.0.113.8\r\nCF-Connecting-IP: 203.0.113.7\r\n", false),
        (NOBODY, "CF-Connecting-IP: 203.0.113.7\r\n", false),
        ("203.0.113.7", "CF-Connecting-IP: 203.0.113.8\r\n", true),
    ] {
        let seen = told(&proxy, peer, fields).await?;
        assert_eq!(seen.contains("403"), is_denied, "{peer} {fields}: {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn the_operators_field_names_the_client_and_is_taken_from_nobody_else() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings {
        trusted_proxies: vec![parsed("10.0.0.0/8")?],
        client_ip_header: Some(parsed("Fastly-Client-IP")?),
        proxy_protocol: vec![parsed("127.0.0.0/8")?],
        ..settings()
    })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let fields = "fastly-client-ip: 203.0.113.7\r\nX-Forwarded-For: 6.6.6.6\r\n";
    let seen = told(&proxy, "10.1.1.1", fields).await?;
    assert_lines(&seen, &["X-Real-IP: 203.0.113.7", "fastly-client-ip: 203.0.113.7"]);
    let seen = told(&proxy, "10.1.1.1", "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n").await?;
    assert_lines(&seen, &["X-Real-IP: 10.1.1.1"]);
    let seen = told(&proxy, NOBODY, fields).await?;
    assert!(!seen.contains("203.0.113.7") && !seen.contains("6.6.6.6"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn addresses_count_as_balancers_write_them() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app, &["10.0.0.0/8"]).await?;
    for (chain, client) in [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
        ("[2001:db8::7], 10.2.2.2", "2001:db8::7"),
        ("6.6.6.6, 203.0.113.7, 10.2.2.2:80", "203.0.113.7"),
        ("203.0.113.7, unknown", "10.1.1.1"),
    ] {
        let seen = told(&proxy, "10.1.1.1", &format!("X-Forwarded-For: {chain}\r\n")).await?;
        assert_lines(&seen, &[&format!("X-Real-IP: {client}")]);
    }
    Ok(())
}

/// An app whose visitors are led to HTTPS, with a certificate.
async fn led(proxy: &Proxy, app: &Upstream, authority: &Authority) -> Result<std::net::SocketAddr> {
    let listen = free_port().await?;
    let certificate = authority.certificate(&["app.test"])?;
    let wants = ServiceTls { redirect: true, ..ServiceTls::default() };
    let state = State::new(2).app("app", "aaaaaa", &[app.address]);
    let state = state.with(|service| service.tls = Arc::new(wants));
    apply(proxy, state.tls(|tls| (tls.listen, tls.certificates) = (vec![listen], vec![certificate]))).await?;
    Ok(listen)
}

#[tokio::test]
async fn behind_a_balancer_that_speaks_tls_nobody_is_led_in_circles() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app, &["10.0.0.0/8", "cloudflare"]).await?;
    led(&proxy, &app, &Authority::new()?).await?;
    for (peer, proto, is_led) in [
        ("10.1.1.1", "https", false),
        ("10.1.1.1", "HTTPS", false),
        ("10.1.1.1", "wss", false),
        ("10.1.1.1", "https, http", false),
        (CLOUDFLARE, "https", false),
        ("10.1.1.1", "http", true),
        (CLOUDFLARE, "http", true),
        (NOBODY, "https", true),
    ] {
        let seen = told(&proxy, peer, &format!("X-Forwarded-Proto: {proto}\r\n")).await?;
        assert_eq!(!seen.starts_with("app\n"), is_led, "{peer} {proto}: {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_balancer_may_say_in_its_introduction_that_it_has_taken_off_tls() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app, &[]).await?;
    led(&proxy, &app, &Authority::new()?).await?;
    let addresses = b"\xc0\0\x02\x07\x0a\0\0\x01\0\x50\0\x51";
    for (has_tls, status) in [(1, 200), (0, 308)] {
        let mut wire = Wire::connect(proxy.http_addr()).await?;
        let extension = [0x20, 0, 5, has_tls, 0, 0, 0, 0];
        wire.send([b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14".as_slice(), addresses, &extension].concat()).await?;
        let answer = wire.get("/").await?;
        assert_eq!(answer.status(), status);
        let is_told = answer.text().contains("X-Forwarded-Proto: https\r\n");
        assert_eq!(is_told, has_tls == 1, "{}", answer.text());
    }
    Ok(())
}

#[tokio::test]
async fn browsers_behind_a_balancer_that_speaks_tls_are_told_to_come_with_it_alone() -> Result<()> {
    let app = Upstream::named("app").await?;
    for (trusted, expected) in [(vec![parsed("127.0.0.0/8")?], Some("max-age=600")), (vec![], None)] {
        let proxy = start(Settings { trusted_proxies: trusted, ..settings() })?;
        let hsts = Hsts { max_age: Duration::from_secs(600), include_subdomains: false, preload: false };
        let wants = ServiceTls { hsts: Some(hsts), ..ServiceTls::default() };
        let state = State::new(1).app("app", "aaaaaa", &[app.address]);
        apply(&proxy, state.with(|service| service.tls = Arc::new(wants))).await?;
        let mut wire = Wire::connect(proxy.http_addr()).await?;
        wire.send("GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Proto: https\r\n\r\n").await?;
        assert_eq!(wire.response().await?.field("strict-transport-security").as_deref(), expected);
        assert_eq!(wire.get("/").await?.field("strict-transport-security"), None, "over plain HTTP");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_is_introduced_before_its_handshake() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = introduced(&app, &[]).await?;
    let authority = Authority::new()?;
    let listen = led(&proxy, &app, &authority).await?;
    let connector = TlsConnector::from(Arc::new(Visitor::trusting(&authority)?.into_config()));
    let v1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 443\r\n".as_slice();
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\0\x50\x01\xbb".as_slice();
    for header in [v1, v2] {
        let mut stream = TcpStream::connect(listen).await?;
        stream.write_all(header).await?;
        let name = ServerName::try_from("app.test").map_err(Error::other)?;
        let mut wire = Wire::new(within("the handshake", connector.connect(name, stream)).await??);
        for _ in 0..2 {
            let seen = wire.get("/").await?.text();
            assert_lines(&seen, &["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"]);
        }
    }
    let name = ServerName::try_from("app.test").map_err(Error::other)?;
    let without = connector.connect(name, TcpStream::connect(listen).await?);
    assert!(within("the end", without).await?.is_err(), "who must introduce a client and does not is closed");
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxy_may_ask_for_all_names_over_one_connection() -> Result<()> {
    let app = Upstream::named("app").await?;
    let authority = Authority::new()?;
    for (trusted, status) in [(vec![parsed("127.0.0.0/8")?], 200), (vec![], 421)] {
        let proxy = start(Settings { trusted_proxies: trusted, ..settings() })?;
        let listen = free_port().await?;
        let certificate = authority.certificate(&["app.test"])?;
        let state = State::new(1).app("app", "aaaaaa", &[app.address]).route("other.test", "/", "app");
        apply(&proxy, state.tls(|tls| (tls.listen, tls.certificates) = (vec![listen], vec![certificate])))
            .await?;
        let mut wire = Wire::new(Visitor::trusting(&authority)?.connect(listen, "app.test").await?);
        wire.send("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").await?;
        assert_eq!(wire.response().await?.status(), status);
    }
    Ok(())
}
