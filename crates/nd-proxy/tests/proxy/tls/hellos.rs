//! Greetings as they may come: odd names, too long, in crumbs, without end, and in floods.

#![allow(clippy::print_stdout, reason = "what was measured is to be quoted: --nocapture")]

use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, version};

use super::{Secure, Visitor, asking};
use crate::support::*;

/// A greeting of TLS 1.2, whose answer can be read, for `written` in the place of another name of that length.
fn hello(secure: &Secure, written: &str) -> Result<Vec<u8>> {
    let name = format!("{}.test", "x".repeat(written.len() - 5));
    let config = Arc::new(secure.visitor_speaking(&version::TLS12)?.into_config());
    let server = ServerName::try_from(name.clone()).map_err(Error::other)?;
    let mut hello = Vec::new();
    ClientConnection::new(config, server).map_err(Error::other)?.write_tls(&mut hello)?;
    let at = hello.windows(name.len()).position(|window| window == name.as_bytes());
    let at = at.ok_or_else(|| Error::other("a greeting without its name"))?;
    hello.splice(at..at + name.len(), written.bytes());
    Ok(hello)
}

/// The first record of the answer: with the certificate, if it is no alert.
async fn answer(wire: &mut Wire) -> Result<Vec<u8>> {
    let mut answer = within("an answer", wire.exactly(5)).await??;
    let length =
        answer.get(3..).unwrap_or_default().iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    answer.extend(within("the rest of it", wire.exactly(length)).await??);
    Ok(answer)
}

async fn with_fallback() -> Result<Secure> {
    Secure::start_with(|state, authority| {
        let fallback = authority.certificate(&["fallback.test"]).ok();
        state.tls(|tls| tls.fallback = fallback)
    })
    .await
}

#[tokio::test]
async fn a_name_counts_without_case_and_final_dot_and_an_address_is_none() -> Result<()> {
    let secure = with_fallback().await?;
    for (written, certified) in [
        ("app.test", "app.test"),
        ("APP.tEsT", "app.test"),
        ("app.test.", "app.test"),
        ("127.0.0.1", "fallback.test"),
        ("other.test", "fallback.test"),
    ] {
        let mut wire = Wire::connect(secure.address).await?;
        wire.send(hello(&secure, written)?).await?;
        let answer = String::from_utf8_lossy(&answer(&mut wire).await?).into_owned();
        assert!(answer.contains(certified), "{written}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused_and_others_go_on() -> Result<()> {
    let secure = with_fallback().await?;
    for written in ["app\0test", "-app.test", "app..test", "app.test\r\n", "\u{fc}pp.test"] {
        let mut wire = Wire::connect(secure.address).await?;
        wire.send(hello(&secure, written)?).await?;
        let rest = wire.rest().await?;
        assert!(rest.first().is_none_or(|first| *first == 21), "{written:?}: an alert or nothing");
    }
    assert_eq!(secure.proxy.stats().handshakes, 0);
    let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    assert_eq!(wire.get("/").await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_greeting_byte_by_byte_is_understood() -> Result<()> {
    let secure = with_fallback().await?;
    let mut wire = Wire::connect(secure.address).await?;
    for byte in hello(&secure, "app.test")? {
        wire.send([byte]).await?;
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&mut wire).await?.first(), Some(&22));
    Ok(())
}

#[tokio::test]
async fn records_that_are_too_long_and_greetings_without_end_are_refused_at_once() -> Result<()> {
    let secure = with_fallback().await?;
    // A record may have 2^14 bytes and a little (RFC 8446, section 5.1); a greeting may be longer than any of ours.
    let long = [&[22, 3, 1, 0x48, 0x01][..], &[1; 20_000]].concat();
    let endless: Vec<u8> =
        std::iter::repeat_n([&[22, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat(), 8).flatten().collect();
    let huge = [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &vec![0; 100_000]].concat();
    for bytes in [long, endless, huge, vec![22, 3, 1, 0, 0, 22, 3, 1, 0, 0], vec![0x16, 0x03, 0x00, 0, 1, 0]]
    {
        let mut wire = Wire::connect(secure.address).await?;
        wire.send(bytes).await.ok(); // it may be closed before all of it was sent
        wire.finish().await.ok();
        wire.rest().await?;
    }
    until("they are gone", || secure.proxy.stats().connections == 0).await?;
    assert_eq!((secure.proxy.stats().handshakes, secure.proxy.stats().failed_handshakes), (0, 5));
    Ok(())
}

#[tokio::test]
async fn a_client_that_never_finishes_is_closed_in_time_wherever_it_stops() -> Result<()> {
    let settings = Settings { header_read_timeout: Duration::from_millis(300), ..settings() };
    let secure = Secure::start_on(start(settings)?, |state, _| state).await?;
    let whole = hello(&secure, "app.test")?;
    let mut waiting = Vec::new();
    for length in [0, 1, 5, 60, whole.len() - 1, whole.len()] {
        let mut wire = Wire::connect(secure.address).await?;
        wire.send(whole.get(..length).unwrap_or_default()).await?;
        waiting.push(wire);
    }
    for mut wire in waiting {
        wire.rest().await?;
    }
    until("they are gone", || secure.proxy.stats().connections == 0).await?;
    let failures = secure.proxy.stats().handshake_failures;
    assert_eq!(failures.get("too_slow"), Some(&6), "{failures:?}");
    Ok(())
}

#[tokio::test]
async fn hundreds_of_slow_handshakes_delay_nobody_and_keep_little_memory() -> Result<()> {
    let secure = Secure::start().await?;
    let whole = hello(&secure, "app.test")?;
    let mut slow = Vec::new();
    let before = resident()?;
    for number in 0..450 {
        let mut wire = Wire::connect(secure.address).await?;
        wire.send(whole.get(..1 + number % (whole.len() - 1)).unwrap_or_default()).await?;
        slow.push(wire);
    }
    until("all of them are there", || secure.proxy.stats().connections == 450).await?;
    for _ in 0..20 {
        let mut wire = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
        assert_eq!(wire.get("/").await?.status(), 200);
    }
    let each = resident()?.saturating_sub(before) / 450;
    println!("450 handshakes that do not go on: {each} KiB each, client and proxy together");
    assert!(each <= 48, "{each} KiB each");
    Ok(())
}

/// Of this whole process, in KiB.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().map_err(Error::other)
}

#[tokio::test]
async fn a_flood_of_broken_handshakes_costs_nobody_else_a_request() -> Result<()> {
    let secure = Secure::start().await?;
    let mut good = Wire::new(secure.visitor()?.connect(secure.address, "app.test").await?);
    let whole = hello(&secure, "app.test")?;
    for round in 0..600 {
        let mut wire = Wire::connect(secure.address).await?;
        let length = if round % 2 == 0 { whole.len() } else { 40 };
        wire.send(whole.get(..length).unwrap_or_default()).await?;
        if round % 50 == 0 {
            good.send(asking("app.test")).await?;
            assert_eq!(good.response().await?.status(), 200);
        }
    }
    // The last of them may not have been accepted yet.
    until("each of them has failed", || secure.proxy.stats().failed_handshakes == 600).await?;
    until("none of them is left", || secure.proxy.stats().connections == 1).await?;
    assert_eq!(secure.proxy.stats().handshakes, 1);
    Ok(())
}

#[tokio::test]
async fn without_a_name_the_fallback_answers() -> Result<()> {
    let secure = with_fallback().await?;
    let mut config = Visitor::careless()?.into_config();
    config.enable_sni = false;
    let stream = Visitor::from(config).connect(secure.address, "app.test").await?;
    let mut wire = Wire::new(stream);
    wire.send(asking("app.test")).await?;
    assert_eq!(wire.response().await?.status(), 200, "no name was asked for, so that none disagrees");
    Ok(())
}
