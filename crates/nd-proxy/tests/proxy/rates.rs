//! How often clients may ask, and which instances are left out.

use std::io::Result;

use nd_types::{LimitedBy, PathPrefix, RateLimit, ServiceLimits};

use super::support::*;

fn limit(path: &str, per: LimitedBy, rate: &str, burst: u32) -> Result<RateLimit> {
    let burst = burst.try_into().map_err(std::io::Error::other)?;
    Ok(RateLimit { path: PathPrefix::new(path), per, rate: parsed(rate)?, burst, status: 429 })
}

async fn limited(app: &Upstream, limit: RateLimit, generation: u64) -> Result<State> {
    let state = State::new(generation).app("app", "aaaaaa", &[app.address]);
    Ok(state.limits(|limits: &mut ServiceLimits| limits.rate_limits = vec![limit]))
}

#[tokio::test]
async fn beyond_its_limit_a_client_gets_429_and_when_to_come_again() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    apply(&proxy, limited(&app, limit("/login", LimitedBy::Ip, "10/m", 3)?, 1).await?).await?;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        // Connections go to either worker: they count together.
        let answer = Wire::connect(proxy.http_addr()).await?.get("/login?x").await?;
        statuses.push(answer.status());
        if answer.status() == 200 {
            let left = 3 - statuses.len();
            assert_eq!(answer.field("ratelimit-policy").as_deref(), Some("\"default\";q=10;w=60"));
            assert_eq!(answer.field("ratelimit"), Some(format!("\"default\";r={left};t=6")));
        }
        if answer.status() == 429 {
            assert_eq!(answer.field("ratelimit-policy").as_deref(), Some("\"default\";q=10;w=60"));
            assert!(answer.field("ratelimit").is_some_and(|value| value.starts_with("\"default\";r=0;t=")));
            let wait: u32 = parsed(&answer.field("retry-after").unwrap_or_default())?;
            assert!((1..=6).contains(&wait), "{wait}");
            assert!(answer.text().contains("too many requests"), "{}", answer.text());
        }
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let other = client.get("/").await?;
    assert!(other.status() == 200 && other.field("ratelimit").is_none(), "other paths are not limited");
    assert_eq!(client.get("/x/../login").await?.status(), 429, "however it is written");
    apply(&proxy, limited(&app, limit("/login", LimitedBy::Ip, "10/m", 3)?, 2).await?).await?;
    assert_eq!(client.get("/login").await?.status(), 429, "a new table forgives nothing");
    Ok(())
}

#[tokio::test]
async fn a_limit_of_an_app_is_that_of_all_its_clients() -> Result<()> {
    let app = Upstream::named("app").await?;
    let trusted = vec![parsed("127.0.0.1")?];
    let proxy = start(nd_proxy::Settings { trusted_proxies: trusted, ..settings() })?;
    let ask = |client: &'static str| {
        let address = proxy.http_addr();
        async move {
            let mut wire = Wire::connect(address).await?;
            wire.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: {client}\r\n\r\n"))
                .await?;
            Result::Ok(wire.response().await?.status())
        }
    };
    apply(&proxy, limited(&app, limit("/", LimitedBy::Ip, "1/h", 1)?, 1).await?).await?;
    assert_eq!([ask("192.0.2.1").await?, ask("192.0.2.2").await?, ask("192.0.2.1").await?], [200, 200, 429]);
    apply(&proxy, limited(&app, limit("/", LimitedBy::App, "1/h", 1)?, 2).await?).await?;
    assert_eq!([ask("192.0.2.3").await?, ask("192.0.2.4").await?], [200, 429]);
    Ok(())
}

#[tokio::test]
async fn an_instance_that_breaks_off_again_and_again_is_left_out() -> Result<()> {
    let good = Upstream::named("good").await?;
    let bad = Upstream::raw(|mut wire, _| async move { wire.message(Kind::Request).await.map(drop) }).await?;
    let proxy = start(nd_proxy::Settings { workers: 1, ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[bad.address, good.address])).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..40 {
        assert_eq!(client.get("/").await?.status(), 200);
    }
    assert_eq!(bad.connections(), 3, "three failures in a row are enough");
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[bad.address])).await?;
    assert_eq!(client.get("/").await?.status(), 502, "the last one is asked all the same");
    Ok(())
}
