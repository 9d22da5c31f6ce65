//! What is done with requests and answers on the way: patterns of hosts, redirects, access, header fields.

use std::io::{Error, Result};
use std::time::Duration;

use nd_proxy::Settings;
use nd_types::{HostPattern, Redirect, RedirectCode};

use super::support::*;

async fn ask(client: &mut Wire, host: &str, path: &str, fields: &str) -> Result<Message> {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")).await?;
    client.response().await
}

fn moved(from: &str, to: &str, code: u16) -> Result<Redirect> {
    let code = RedirectCode::try_from(code).map_err(Error::other)?;
    Redirect::new(from, to, code).map_err(Error::other)
}

#[tokio::test]
async fn a_pattern_takes_the_hosts_below_it_that_nobody_else_has() -> Result<()> {
    let (shop, tenants) = (Upstream::named("shop").await?, Upstream::named("tenants").await?);
    let proxy = start(settings())?;
    let state = State::new(1)
        .app("shop", "aaaaaa", &[shop.address])
        .app("tenants", "bbbbbb", &[tenants.address])
        .route("*.shop.test", "/", "tenants")
        .route("www.shop.test", "/", "shop");
    apply(&proxy, state).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (host, expected) in [
        ("shop.test", "shop"),
        ("ann.shop.test", "tenants"),
        ("Ann.Europe.shop.test:80", "tenants"),
        ("www.shop.test", "shop"),
    ] {
        let answer = ask(&mut client, host, "/", "").await?;
        assert_eq!(answer.text().lines().next(), Some(expected), "{host}");
    }
    assert_eq!(ask(&mut client, "evilshop.test", "/", "").await?.status(), 404);
    apply(&proxy, State::new(2).app("shop", "aaaaaa", &[shop.address]).route("*", "/", "shop")).await?;
    assert_eq!(ask(&mut client, "whoever.example", "/", "").await?.status(), 200);
    client.send("GET / HTTP/1.0\r\n\r\n").await?;
    assert_eq!(client.response().await?.status(), 200, "a client without a host goes where every host does");
    Ok(())
}

#[tokio::test]
async fn a_stripped_path_reaches_the_app_without_its_prefix_and_says_so() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let state = State::new(1)
        .app("app", "aaaaaa", &[app.address])
        .route("app.test", "/api", "app")
        .passage(|options| options.strip = true);
    apply(&proxy, state).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (path, expected) in
        [("/api/v1?x=/api", "/v1?x=/api"), ("/api", "/"), ("/api?x", "/?x"), ("/apis", "/apis"), ("/", "/")]
    {
        let text = ask(&mut client, "app.test", path, "X-Forwarded-Prefix: /evil\r\n").await?.text();
        assert!(text.contains(&format!("GET {expected} HTTP/1.1\r\n")), "{path}: {text}");
        let is_stripped = path.starts_with("/api") && path != "/apis";
        assert_eq!(text.contains("X-Forwarded-Prefix: /api\r\n"), is_stripped, "{text}");
        assert!(!text.contains("evil"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn an_alias_of_a_host_leads_to_the_host_that_counts() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings { trusted_proxies: vec![parsed("127.0.0.0/8")?], ..settings() })?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).route("www.app.test", "/", "app");
    let host = HostPattern::new("app.test").map_err(Error::other)?;
    apply(&proxy, state.passage(|options| options.redirect = Some(host))).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (host, fields, expected) in [
        ("www.app.test", "", "http://app.test/a//b?c=d"),
        ("www.app.test:8080", "", "http://app.test:8080/a//b?c=d"),
        ("www.app.test", "X-Forwarded-Proto: https\r\n", "https://app.test/a//b?c=d"),
    ] {
        let answer = ask(&mut client, host, "/a//b?c=d", fields).await?;
        assert_eq!((answer.status(), answer.field("location").as_deref()), (308, Some(expected)));
    }
    assert_eq!((ask(&mut client, "app.test", "/", "").await?.status(), app.requests()), (200, 1));
    Ok(())
}

#[tokio::test]
async fn a_moved_path_is_answered_with_its_new_place_and_keeps_its_query() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let redirects = vec![
        moved("/old/*", "/new/$1", 308)?,
        moved("/go/*", "/$1", 302)?,
        moved("/blog/*", "https://blog.example/$1", 301)?,
    ];
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    apply(&proxy, state.rules(|rules| rules.redirects = redirects)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (path, status, location) in [
        ("/old/a/b?c=d&e", 308, "/new/a/b?c=d&e"),
        ("/go//evil.example/x", 302, "/evil.example/x"),
        ("/go/%0d%0aSet-Cookie:x", 302, "/%0d%0aSet-Cookie:x"),
        ("/blog/a", 301, "https://blog.example/a"),
    ] {
        let answer = ask(&mut client, "app.test", path, "").await?;
        assert_eq!((answer.status(), answer.field("location").as_deref()), (status, Some(location)));
    }
    assert_eq!(app.requests(), 0);
    assert_eq!(ask(&mut client, "app.test", "/old", "").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn fields_are_added_to_every_answer_and_taken_from_the_apps() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        loop {
            wire.message(Kind::Request).await?;
            wire.send(
                "HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Frame-Options: ALLOW\r\nVary: Accept\r\n\
                 Content-Length: 2\r\n\r\nok",
            )
            .await?;
        }
    })
    .await?;
    let proxy = start(settings())?;
    let add = [("X-Frame-Options", "DENY"), ("Vary", "Cookie")]
        .iter()
        .map(|(name, value)| Ok((parsed(name)?, parsed(value)?)))
        .collect::<Result<Vec<_>>>()?;
    let remove = vec![parsed("server")?];
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).rules(|rules| {
        rules.headers.add = add;
        rules.headers.remove = remove;
    });
    apply(&proxy, state.limits(|limits| limits.body_bytes = 1)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let answer = client.get("/").await?;
    assert_eq!((answer.field("server"), answer.text()), (None, "ok".to_owned()));
    assert_eq!(answer.fields("x-frame-options"), ["DENY"]);
    assert_eq!(answer.fields("vary"), ["Accept", "Cookie"]);
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nab").await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.fields("x-frame-options")), (413, vec!["DENY".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn only_admitted_clients_reach_a_guarded_path_however_they_write_it() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(Settings { trusted_proxies: vec![parsed("127.0.0.0/8")?], ..settings() })?;
    let (allow, deny) = (vec![parsed("192.0.2.0/24")?], vec![parsed("192.0.2.66")?]);
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).rules(|rules| {
        rules.access.allow = allow;
        rules.access.deny = deny;
        rules.access.paths = vec![nd_types::PathPrefix::new("/admin")];
    });
    apply(&proxy, state).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (path, chain, expected) in [
        ("/", "203.0.113.9", 200),
        ("/admin", "192.0.2.7", 200),
        ("/admin", "192.0.2.7, 127.0.0.9", 200),
        ("/admin", "192.0.2.66", 403),
        ("/admin", "203.0.113.9", 403),
        ("/admin", "192.0.2.7, 203.0.113.9", 403),
        ("/admin", "192.0.2.7, nonsense", 403),
        ("/x/../admin", "203.0.113.9", 403),
        ("//admin/", "203.0.113.9", 403),
        ("/%61dmin", "203.0.113.9", 403),
    ] {
        let answer = ask(&mut client, "app.test", path, &format!("X-Forwarded-For: {chain}\r\n")).await?;
        assert_eq!(answer.status(), expected, "{path} {chain}");
    }
    assert_eq!(ask(&mut client, "app.test", "/admin", "").await?.status(), 403);
    Ok(())
}

#[tokio::test]
async fn nobody_can_claim_an_address_that_is_admitted() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let allow = vec![parsed("192.0.2.0/24")?];
    let state = State::new(1).app("app", "aaaaaa", &[app.address]).rules(|rules| rules.access.allow = allow);
    apply(&proxy, state).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for claim in
        ["X-Forwarded-For: 192.0.2.7\r\n", "X-Real-IP: 192.0.2.7\r\n", "Forwarded: for=192.0.2.7\r\n"]
    {
        assert_eq!(ask(&mut client, "app.test", "/", claim).await?.status(), 403, "{claim}");
    }
    assert_eq!(app.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn a_route_may_have_more_patience_than_its_app() -> Result<()> {
    let (say, word) = tokio::sync::watch::channel(());
    let app = Upstream::raw(move |mut wire, _| {
        let mut word = word.clone();
        async move {
            wire.message(Kind::Request).await?;
            word.changed().await.map_err(Error::other)?;
            wire.send(ok("late")).await
        }
    })
    .await?;
    let proxy = start(settings())?;
    let state = State::new(1)
        .app("app", "aaaaaa", &[app.address])
        .limits(|limits| limits.response_header_timeout = Duration::from_millis(50))
        .route("app.test", "/slow", "app")
        .passage(|options| options.timeout = Some(Duration::from_secs(5)));
    apply(&proxy, state).await?;
    let mut patient = Wire::connect(proxy.http_addr()).await?;
    patient.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n").await?;
    until("the request is in flight", || proxy.stats().apps.values().any(|app| app.in_flight == 1)).await?;
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 504);
    say.send(()).map_err(Error::other)?;
    assert_eq!(patient.response().await?.text(), "late");
    Ok(())
}
