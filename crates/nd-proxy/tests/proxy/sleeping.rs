//! Apps that sleep: whoever can wake them is told, and requests wait.

use std::collections::BTreeSet;
use std::io::Result;
use std::time::{Duration, Instant};

use nd_types::{AppName, Availability};

use super::http2::client::{Client, get, whole};
use super::support::*;

fn asleep(generation: u64) -> State {
    let state = State::new(generation).app("app", "aaaaaa", &[]);
    state.with(|service| service.availability = Availability::Sleeping)
}

#[tokio::test]
async fn the_first_request_rings_and_all_wait_until_the_app_is_awake() -> Result<()> {
    let (name, nobody): (AppName, _) = (parsed("app")?, BTreeSet::new());
    let proxy = start(settings())?;
    apply(&proxy, asleep(1)).await?;
    let mut first = Wire::connect(proxy.http_addr()).await?;
    first.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello").await?;
    let wanted = within("the bell", proxy.wanted(&nobody)).await?;
    assert_eq!(wanted, BTreeSet::from([name]));
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let (second, _) = h2.send(get("/"), true).await?;
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[])).await?;
    assert_eq!(within("the end of it", proxy.wanted(&wanted)).await?, nobody);
    let app = Upstream::named("app").await?;
    apply(&proxy, State::new(3).app("app", "aaaaaa", &[app.address])).await?;
    assert!(first.response().await?.text().ends_with("hello"));
    assert!(whole(second).await?.text().starts_with("app"));
    Ok(())
}

#[tokio::test]
async fn a_browser_that_waits_for_long_gets_a_page_that_asks_again() -> Result<()> {
    let proxy = start(settings())?;
    apply(&proxy, asleep(1)).await?;
    let ask = |fields: &'static str, method: &'static str| {
        let address = proxy.http_addr();
        async move {
            let mut wire = Wire::connect(address).await?;
            wire.send(format!("{method} / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n")).await?;
            Result::Ok(wire)
        }
    };
    let began = Instant::now();
    let mut tool = ask("Accept: */*\r\n", "GET").await?;
    let mut form = ask("Accept: text/html\r\nContent-Length: 0\r\n", "POST").await?;
    let page = ask("Accept: text/html,*/*;q=0.8\r\n", "GET").await?.response().await?;
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!((page.status(), page.field("retry-after").as_deref()), (503, Some("2")));
    assert!(page.text().contains("<meta http-equiv=\"refresh\" content=\"2\">"), "{}", page.text());
    // Being started is not being awake.
    apply(&proxy, State::new(2).app("app", "aaaaaa", &[])).await?;
    let again = ask("Accept: text/html\r\n", "GET").await?.response().await?;
    assert!(again.text().contains("refresh"), "{}", again.text());
    let app = Upstream::named("app").await?;
    apply(&proxy, State::new(3).app("app", "aaaaaa", &[app.address])).await?;
    assert_eq!((tool.response().await?.status(), form.response().await?.status()), (200, 200));
    Ok(())
}
