//! A release that some of the clients get: who has it keeps it, and nobody is without an answer.

use std::collections::BTreeMap;
use std::io::Result;

use nd_types::{AppProtocol, Backend, Split};

use super::http2::client::{Client, with};
use super::support::*;

/// An old and a new release, which so many of a hundred clients get.
fn tried(generation: u64, old: &Upstream, new: &Upstream, percent: u8) -> Result<State> {
    let unit = unit("app", "bbbbbb", 1)?;
    let split = Split { release: unit.release().clone(), percent };
    let backend = Backend { unit, address: new.address, started: None, protocol: AppProtocol::Http };
    Ok(State::new(generation).app("app", "aaaaaa", &[old.address]).with(|service| {
        service.backends.push(backend);
        service.split = Some(split);
    }))
}

async fn ask(wire: &mut Wire, cookie: &str) -> Result<Message> {
    let field = if cookie.is_empty() { String::new() } else { format!("Cookie: a=b; {cookie}\r\n") };
    wire.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{field}\r\n")).await?;
    wire.response().await
}

fn release(answer: &Message) -> String {
    answer.text().lines().next().unwrap_or_default().to_owned()
}

fn cookie(answer: &Message) -> String {
    let field = answer.field("set-cookie").unwrap_or_default();
    field.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn new_clients_are_shared_out_as_the_table_says() -> Result<()> {
    let (old, new) = (Upstream::named("old").await?, Upstream::named("new").await?);
    let proxy = start(settings())?;
    for (generation, percent) in [(1, 5), (2, 25), (3, 100)] {
        apply(&proxy, tried(generation, &old, &new, percent)?).await?;
        let mut got = BTreeMap::<String, u32>::new();
        for _ in 0..200 {
            let mut wire = Wire::connect(proxy.http_addr()).await?;
            *got.entry(release(&ask(&mut wire, "").await?)).or_default() += 1;
        }
        let new = got.get("new").copied().unwrap_or(0);
        let expected = u32::from(percent) * 2;
        assert!(new.abs_diff(expected) <= 12, "{new} of 200 got the new release, not about {expected}");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_stays_with_its_release_by_its_cookie_or_as_long_as_its_connection() -> Result<()> {
    let (old, new) = (Upstream::named("old").await?, Upstream::named("new").await?);
    let proxy = start(settings())?;
    apply(&proxy, tried(1, &old, &new, 50)?).await?;
    for _ in 0..20 {
        let mut wire = Wire::connect(proxy.http_addr()).await?;
        let first = ask(&mut wire, "").await?;
        let (home, kept) = (release(&first), cookie(&first));
        assert!(kept.starts_with("nd-canary-app=bbbbbb."), "{kept}");
        assert!(first.field("set-cookie").unwrap_or_default().ends_with("; Path=/; HttpOnly; SameSite=Lax"));
        for _ in 0..3 {
            assert_eq!(release(&ask(&mut wire, "").await?), home, "the same connection");
            let mut other = Wire::connect(proxy.http_addr()).await?;
            let again = ask(&mut other, &kept).await?;
            assert_eq!((release(&again), cookie(&again)), (home.clone(), String::new()), "the same cookie");
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_has_the_new_release_keeps_it_while_its_share_grows_and_all_go_back_when_it_is_gone() -> Result<()>
{
    let (old, new) = (Upstream::named("old").await?, Upstream::named("new").await?);
    let proxy = start(settings())?;
    apply(&proxy, tried(1, &old, &new, 10)?).await?;
    let lot = |number: u8| format!("nd-canary-app=bbbbbb.{number}");
    let mut wire = Wire::connect(proxy.http_addr()).await?;
    for (generation, percent) in [(2, 10), (3, 40), (4, 90)] {
        apply(&proxy, tried(generation, &old, &new, percent)?).await?;
        for number in [0, 9, 10, 39, 40, 89, 90, 99] {
            let expected = if number < percent { "new" } else { "old" };
            let got = release(&ask(&mut wire, &lot(number)).await?);
            assert_eq!(got, expected, "lot {number} at {percent}%");
        }
    }
    apply(&proxy, State::new(5).app("app", "aaaaaa", &[old.address])).await?;
    let answer = ask(&mut wire, &lot(0)).await?;
    assert_eq!((release(&answer), cookie(&answer)), ("old".to_owned(), String::new()));
    Ok(())
}

#[tokio::test]
async fn the_streams_of_one_connection_have_one_lot() -> Result<()> {
    let (old, new) = (Upstream::named("old").await?, Upstream::named("new").await?);
    let proxy = start(settings())?;
    apply(&proxy, tried(1, &old, &new, 50)?).await?;
    let mut homes = BTreeMap::<String, u32>::new();
    for _ in 0..12 {
        let mut client = Client::connect(proxy.http_addr()).await?;
        let first = client.get("/").await?;
        let home = first.text().lines().next().unwrap_or_default().to_owned();
        assert!(first.field("set-cookie").is_some_and(|field| field.starts_with("nd-canary-app=bbbbbb.")));
        for _ in 0..3 {
            let again = client.get("/").await?;
            assert_eq!(again.text().lines().next(), Some(home.as_str()));
        }
        let other = if home == "old" { "nd-canary-app=bbbbbb.0" } else { "nd-canary-app=bbbbbb.99" };
        let moved = client.ask(with("GET", "http://app.test/", &[("cookie", other)]), b"").await?;
        assert_ne!(moved.text().lines().next(), Some(home.as_str()), "a cookie counts for more");
        *homes.entry(home).or_default() += 1;
    }
    assert_eq!(homes.len(), 2, "{homes:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_whose_release_cannot_be_reached_gets_the_other_one() -> Result<()> {
    let (old, new) = (Upstream::named("old").await?, Upstream::named("new").await?);
    let proxy = start(settings())?;
    apply(&proxy, tried(1, &old, &new, 50)?).await?;
    new.kill().await;
    let mut wire = Wire::connect(proxy.http_addr()).await?;
    for _ in 0..5 {
        assert_eq!(release(&ask(&mut wire, "nd-canary-app=bbbbbb.0").await?), "old");
    }
    Ok(())
}
