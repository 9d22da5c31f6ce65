//! What the proxy answers in an app's place has the app's own pages.

use std::collections::BTreeMap;
use std::io::{Error, Result};

use nd_types::{Availability, ErrorPages};

use super::http2::client::{Client, with};
use super::support::*;

fn pages(pages: &[(&str, &str)]) -> Result<ErrorPages> {
    let pages: BTreeMap<_, _> =
        pages.iter().map(|(key, page)| ((*key).to_owned(), (*page).to_owned())).collect();
    ErrorPages::new(pages).map_err(Error::other)
}

#[tokio::test]
async fn browsers_get_the_apps_page_and_programs_a_line() -> Result<()> {
    let app = Upstream::named("app").await?;
    let proxy = start(settings())?;
    let own =
        pages(&[("503", "<h1>{{app}} is closed</h1>"), ("4xx", "<h1>{{status}} of {{request_id}}</h1>")])?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    let state = state.rules(|rules| rules.error_pages = own.clone()).limits(|limits| limits.body_bytes = 10);
    apply(&proxy, state).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    let head = "POST / HTTP/1.1\r\nHost: app.test\r\nAccept: text/html\r\nX-Request-Id: r1\r\n";
    client.send(format!("{head}Content-Length: 11\r\n\r\nhello world")).await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.text().as_str()), (413, "<h1>413 of r1</h1>"));
    assert_eq!(answer.field("content-type").as_deref(), Some("text/html; charset=utf-8"));

    let stopped = State::new(2).app("app", "aaaaaa", &[]);
    let stopped = stopped.rules(|rules| rules.error_pages = own);
    apply(&proxy, stopped.with(|service| service.availability = Availability::Stopped)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nAccept: text/html\r\n\r\n").await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.text().as_str()), (503, "<h1>app is closed</h1>"));
    assert_eq!(answer.field("retry-after").as_deref(), Some("30"));
    assert!(client.get("/").await?.text().starts_with("503 Service Unavailable: app: "));
    let mut h2 = Client::connect(proxy.http_addr()).await?;
    let answer = h2.ask(with("GET", "http://app.test/", &[("accept", "text/html")]), b"").await?;
    assert_eq!((answer.status(), answer.text().as_str()), (503, "<h1>app is closed</h1>"));
    Ok(())
}

#[tokio::test]
async fn what_the_app_answers_itself_is_left_alone() -> Result<()> {
    let app = Upstream::raw(|mut wire, _| async move {
        wire.message(Kind::Request).await?;
        wire.send("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno").await
    })
    .await?;
    let proxy = start(settings())?;
    let own = pages(&[("5xx", "<h1>ours</h1>")])?;
    let state = State::new(1).app("app", "aaaaaa", &[app.address]);
    apply(&proxy, state.rules(|rules| rules.error_pages = own)).await?;
    let mut client = Wire::connect(proxy.http_addr()).await?;
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nAccept: text/html\r\n\r\n").await?;
    let answer = client.response().await?;
    assert_eq!((answer.status(), answer.text().as_str()), (503, "no"));
    Ok(())
}
