//! Clients that stay with their instance.

use std::io::Result;

use nd_types::ServiceLimits;

use super::http2::client::{Client, with};
use super::support::*;

fn sticky(generation: u64, release: &str, apps: &[&Upstream]) -> State {
    let addresses: Vec<_> = apps.iter().map(|app| app.address).collect();
    let state = State::new(generation).app("app", release, &addresses);
    state.limits(|limits: &mut ServiceLimits| limits.sticky = true)
}

async fn ask(proxy: &nd_proxy::Proxy, cookie: &str) -> Result<Message> {
    let mut wire = Wire::connect(proxy.http_addr()).await?;
    let field = if cookie.is_empty() { String::new() } else { format!("Cookie: a=b; {cookie}\r\n") };
    wire.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{field}\r\n")).await?;
    wire.response().await
}

/// Which instance has answered, and the cookie it set.
fn parts(answer: &Message) -> (String, String) {
    let text = answer.text();
    let cookie = answer.field("set-cookie").unwrap_or_default();
    let pair = cookie.split(';').next().unwrap_or_default().to_owned();
    (text.lines().next().unwrap_or_default().to_owned(), pair)
}

#[tokio::test]
async fn a_client_stays_with_its_instance_whichever_worker_it_comes_to() -> Result<()> {
    let (one, two) = (Upstream::named("one").await?, Upstream::named("two").await?);
    let proxy = start(settings())?;
    apply(&proxy, sticky(1, "aaaaaa", &[&one, &two])).await?;
    let first = ask(&proxy, "").await?;
    let cookie = first.field("set-cookie").unwrap_or_default();
    assert!(cookie.starts_with("nd-sticky-app=") && !cookie.contains("aaaaaa"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let (home, cookie) = parts(&first);
    for _ in 0..20 {
        let (name, told) = parts(&ask(&proxy, &cookie).await?);
        assert_eq!((name, told), (home.clone(), String::new()));
    }
    let mut client = Client::connect(proxy.http_addr()).await?;
    for _ in 0..10 {
        let request = with("GET", "http://app.test/", &[("cookie", "a=b"), ("cookie", &cookie)]);
        let answer = client.ask(request, b"").await?;
        assert!(answer.text().starts_with(&home) && answer.field("set-cookie").is_none());
    }
    Ok(())
}

#[tokio::test]
async fn a_client_whose_instance_is_gone_gets_another_and_a_new_cookie() -> Result<()> {
    let (one, two) = (Upstream::named("one").await?, Upstream::named("two").await?);
    let proxy = start(settings())?;
    apply(&proxy, sticky(1, "aaaaaa", &[&one, &two])).await?;
    let (home, cookie) = parts(&ask(&proxy, "").await?);
    let other = if home == "one" { "two" } else { "one" };
    // It dies, and nobody says so.
    if home == "one" {
        one.kill().await;
    } else {
        two.kill().await;
    }
    let (name, new) = parts(&ask(&proxy, &cookie).await?);
    assert!(name == other && !new.is_empty() && new != cookie, "{name} {new}");
    // A new release has instances of its own.
    let next = Upstream::named("next").await?;
    apply(&proxy, sticky(2, "bbbbbb", &[&next])).await?;
    let (name, newest) = parts(&ask(&proxy, &new).await?);
    assert!(name == "next" && !newest.is_empty() && newest != new, "{name} {newest}");
    assert_eq!(parts(&ask(&proxy, "nd-sticky-app=nonsense").await?).1, newest, "nonsense is no cookie");
    Ok(())
}

#[tokio::test]
async fn the_cookie_of_one_app_leads_to_no_other() -> Result<()> {
    let (one, two) = (Upstream::named("one").await?, Upstream::named("two").await?);
    let proxy = start(settings())?;
    let both = sticky(1, "aaaaaa", &[&one]).app("other", "aaaaaa", &[two.address]);
    apply(&proxy, both.route("app.test", "/other", "other")).await?;
    let (_, cookie) = parts(&ask(&proxy, "").await?);
    let stolen = cookie.replace("nd-sticky-app", "nd-sticky-other");
    let mut wire = Wire::connect(proxy.http_addr()).await?;
    wire.send(format!("GET /other HTTP/1.1\r\nHost: app.test\r\nCookie: {cookie}; {stolen}\r\n\r\n")).await?;
    assert!(wire.response().await?.text().starts_with("two"));
    Ok(())
}
