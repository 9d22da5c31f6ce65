//! Which app answers.

use std::io::Result;

use super::support::*;

#[tokio::test]
async fn a_request_reaches_the_app_of_its_host_and_path_and_no_other() -> Result<()> {
    let (shop, api) = (Upstream::named("shop").await?, Upstream::named("api").await?);
    let proxy = start(settings())?;
    let state = State::new(1).app("shop", "aaaaaa", &[shop.address]).app("api", "bbbbbb", &[api.address]);
    apply(&proxy, state.route("shop.test", "/api", "api")).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for (host, path, expected) in [
        ("shop.test", "/", "shop"),
        ("SHOP.test:8080", "/x?/api", "shop"),
        ("shop.test", "/api/x", "api"),
        ("shop.test", "/apis", "shop"),
        ("api.test.", "/", "api"),
    ] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
        let answer = client.response().await?;
        assert_eq!(answer.text().lines().next(), Some(expected), "{host}{path}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_host_gets_404_and_learns_nothing_of_other_apps() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for host in ["other.test", "127.0.0.1", "sub.app.test", "app.test.evil"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
        let answer = client.response().await?;
        assert_eq!(answer.status(), 404);
        assert!(
            !answer.text().contains("app.test") && answer.text().contains("request "),
            "{}",
            answer.text()
        );
    }
    assert_eq!((app.requests(), proxy.stats().unrouted), (0, 4));
    Ok(())
}

#[tokio::test]
async fn many_requests_share_one_connection_on_both_sides() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..50 {
        assert_eq!(client.get("/").await?.status(), 200);
    }
    assert_eq!((app.requests(), app.connections()), (50, 1));
    Ok(())
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let get = |n: usize| format!("GET /{n} HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let post = |n: usize| format!("POST /{n} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello");
    let all: String = (0..40).map(|n| if n % 2 == 0 { get(n) } else { post(n) }).collect();
    client.send(all).await?;
    for n in 0..40 {
        let text = client.response().await?.text();
        assert!(text.contains(&format!(" /{n} HTTP/1.1")), "{n}: {text}");
        assert_eq!(text.ends_with("hello"), n % 2 == 1);
    }
    Ok(())
}

#[tokio::test]
async fn requests_are_balanced_over_all_instances() -> Result<()> {
    let apps =
        [Upstream::named("one").await?, Upstream::named("two").await?, Upstream::named("three").await?];
    let proxy = start(settings())?;
    let addresses: Vec<_> = apps.iter().map(|app| app.address).collect();
    apply(&proxy, State::new(1).app("app", "aaaaaa", &addresses)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..30 {
        assert_eq!(client.get("/").await?.status(), 200);
    }
    assert!(apps.iter().all(|app| app.requests() == 10));
    Ok(())
}

#[tokio::test]
async fn an_older_table_is_refused_and_the_same_one_may_be_applied_again() -> Result<()> {
    let proxy = start(settings())?;
    apply(&proxy, State::new(5)).await?;
    apply(&proxy, State::new(5)).await?;
    let error = proxy.apply(State::new(4).build()?).await.unwrap_err();
    assert_eq!(error.to_string(), "apply routes of generation 4: generation 5 serves already");
    assert_eq!(proxy.serving().0, 5);
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_refused_with_its_holder() -> Result<()> {
    let first = start(settings())?;
    let error = start(nd_proxy::Settings { http: first.http_addr(), ..settings() }).unwrap_err().to_string();
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_happened_is_counted() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start_for(&app).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello").await?;
    let answer = client.response().await?;
    until("the request is counted", || proxy.stats().apps.values().all(|app| app.in_flight == 0)).await?;
    let stats = proxy.stats();
    let traffic = stats.apps.values().next().cloned().unwrap_or_default();
    assert_eq!((stats.connections, stats.accepted, traffic.requests), (1, 1, 1));
    assert_eq!((traffic.bytes_in, traffic.bytes_out), (5, answer.body.len() as u64));
    assert_eq!(traffic.responses, [0, 1, 0, 0, 0]);
    Ok(())
}
