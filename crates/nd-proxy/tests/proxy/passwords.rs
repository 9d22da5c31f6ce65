//! Apps that ask for a name and a password.

use std::io::{Error, Result};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nd_proxy::Proxy;
use nd_types::{BasicAuth, BasicUser, PathPrefix};

use super::http2::client::{Client, with};
use super::support::*;

/// An app that lets `ana` in with the password `secret`, and the proxy before it.
async fn guarded(paths: &[&str], cost: u32) -> Result<(Upstream, Proxy)> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let hash = bcrypt::hash("secret", cost).map_err(Error::other)?;
    let user = BasicUser { name: "ana".to_owned(), password: parsed(&hash)? };
    let auth =
        BasicAuth { users: vec![user], paths: paths.iter().map(|path| PathPrefix::new(path)).collect() };
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    apply(&proxy, state.rules(|rules| rules.basic_auth = auth)).await?;
    Ok((app, proxy))
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

async fn ask(client: &mut Wire, path: &str, lines: &str) -> Result<Message> {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n")).await?;
    client.response().await
}

#[tokio::test]
async fn who_knows_the_password_is_let_in_and_nobody_else() -> Result<()> {
    let (app, proxy) = guarded(&[], 4).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let unasked = client.get("/").await?;
    assert_eq!(unasked.status(), 401);
    let challenge = "Basic realm=\"app\", charset=\"UTF-8\"";
    assert_eq!(unasked.field("www-authenticate").as_deref(), Some(challenge));
    for (credentials, status) in
        [("ana:secret", 200), ("ana:Secret", 401), ("eva:secret", 401), (":", 401), ("ana:secret", 200)]
    {
        let value = basic(credentials);
        let answer = ask(&mut client, "/", &format!("Authorization: {value}\r\n")).await?;
        assert_eq!(answer.status(), status, "{credentials}");
        assert!(!answer.text().to_ascii_lowercase().contains("authorization"), "the app must not see it");
        let request = with("GET", "http://app.test/", &[("authorization", value.as_str())]);
        let answer = h2.ask(request, b"").await?;
        assert_eq!(answer.status(), status, "{credentials}");
        assert_eq!(answer.field("www-authenticate"), (status == 401).then_some(challenge));
    }
    let twice = format!("Authorization: {}\r\nAuthorization: Bearer x\r\n", basic("ana:secret"));
    assert_eq!(ask(&mut client, "/", &twice).await?.status(), 401);
    assert_eq!(app.requests(), 4);
    Ok(())
}

#[tokio::test]
async fn only_the_paths_named_are_guarded_and_the_rest_keeps_its_field() -> Result<()> {
    let (_app, proxy) = guarded(&["/admin"], 4).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for path in ["/admin", "/admin/x", "//admin", "/%61dmin", "/x/../admin"] {
        assert_eq!(ask(&mut client, path, "").await?.status(), 401, "{path}");
    }
    let answer = ask(&mut client, "/api", "Authorization: Bearer token\r\n").await?;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("Authorization: Bearer token"), "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_delays_nobody_who_is_known() -> Result<()> {
    let (_app, proxy) = guarded(&[], 6).await?;
    let right = format!("Authorization: {}\r\n", basic("ana:secret"));
    let mut known = Wire::connect(proxy.http_addr()).await?;
    assert_eq!(ask(&mut known, "/", &right).await?.status(), 200);
    let mut flood = Vec::new();
    for n in 0..40 {
        let mut client = Wire::connect(proxy.http_addr()).await?;
        let guess = basic(&format!("ana:guess {n}"));
        client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\nAuthorization: {guess}\r\n\r\n")).await?;
        flood.push(client);
    }
    for _ in 0..20 {
        assert_eq!(ask(&mut known, "/", &right).await?.status(), 200);
    }
    let mut statuses = Vec::new();
    for mut client in flood {
        statuses.push(client.response().await?.status());
    }
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    assert!(statuses.contains(&401) && statuses.contains(&503), "{statuses:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_nobody_serves_may_have_a_default() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings { default_host: Some(parsed_host("app.test")?), ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for host in ["192.0.2.1", "other.test"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
        let answer = client.response().await?;
        assert!(answer.text().contains(&format!("Host: {host}\r\n")), "{}", answer.text());
    }
    let mut old = Wire::connect(proxy.http_addr()).await?;
    old.send("GET / HTTP/1.0\r\n\r\n").await?;
    assert_eq!(old.response().await?.status(), 200);
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    assert_eq!(h2.ask(with("GET", "http://elsewhere.test/", &[]), b"").await?.status(), 200);
    Ok(())
}

fn parsed_host(name: &str) -> Result<nd_types::HostPattern> {
    nd_types::HostPattern::new(name).map_err(Error::other)
}
