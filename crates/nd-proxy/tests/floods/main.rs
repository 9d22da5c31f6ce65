//! Floods of HTTP/2: each costs the proxy little memory, slows nobody else down, and ends with its connection.
//!
//! A process of its own, one flood after the other, because the memory is measured.

#[path = "../proxy/support.rs"]
#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
mod support;

mod hesitation;
mod raw;

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hesitation::with_hesitation;
use nd_proxy::Proxy;
use nd_supervise::TaskSet;
use raw::{CANCEL, END_HEADERS, END_STREAM, Frame, Raw, frame, get, head, post};
use support::*;
use tokio::sync::Mutex;

/// More memory than before, at most.
const MEMORY: usize = 48 * 1024 * 1024;
/// Another client waits no longer for an answer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Attackers at once.
const ATTACKERS: usize = 8;
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What the attackers are not told at the end.
const NO_ERROR: u8 = 0;
/// A WINDOW_UPDATE by as much as there can be.
const TOO_MUCH: &[u8] = &[0x7f, 0xff, 0xff, 0xff];
/// A piece of an answer.
static PIECE: [u8; 10_000] = [b'x'; 10_000];

/// Memory of this process, in bytes.
fn memory() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = status.split(' ').nth(1).and_then(|n| n.parse().ok()).ok_or(Error::other("statm"))?;
    Ok(pages * 4096)
}

/// Sends a `flood` of ever new bytes after `opening`, from several clients, until each of them is sent away.
async fn endures(opening: Vec<u8>, flood: fn(u32) -> Vec<u8>) -> Result<()> {
    attacked(move |proxy| {
        let opening = opening.clone();
        async move {
            let Raw { mut reader, mut writer } = Raw::connect(proxy).await?;
            writer.send(&opening).await?;
            let sent = async {
                for n in 0..1_000_000 {
                    if writer.send(&flood(n)).await.is_err() {
                        return;
                    }
                }
            };
            let (_, goodbye) = tokio::join!(sent, reader.goodbye());
            goodbye
        }
    })
    .await
}

/// Lets attackers do their worst, one reason to be sent away each, while somebody else asks and asks.
async fn attacked<F, A>(attack: F) -> Result<()>
where
    F: Fn(std::net::SocketAddr) -> A,
    A: Future<Output = Result<Option<u8>>> + Send + 'static,
{
    let _turn = ONE_AT_A_TIME.lock().await;
    let app = app().await?;
    let proxy = start(Settings { workers: 1, ..settings() })?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    assert_eq!(Wire::connect(proxy.http_addr()).await?.get("/").await?.status(), 200);
    let before = memory()?;
    let (tasks, over) = (TaskSet::new("attackers"), Arc::new(AtomicBool::new(false)));
    let attackers: Vec<_> =
        (0..ATTACKERS).map(|_| tasks.spawn_with("attacker", attack(proxy.http_addr()))).collect();
    let others = others_are_served(&proxy, before, Arc::clone(&over));
    let ends = async {
        for attacker in attackers {
            let reason = within("an attacker is sent away", attacker).await?.map_err(Error::other)??;
            assert_ne!(reason, Some(NO_ERROR), "an attacker is let off");
        }
        over.store(true, Ordering::SeqCst);
        Result::Ok(())
    };
    tokio::try_join!(others, ends)?;
    until("the attackers' connections are closed", || proxy.stats().connections == 0).await
}

async fn others_are_served(proxy: &Proxy, before: usize, over: Arc<AtomicBool>) -> Result<()> {
    while !over.load(Ordering::SeqCst) {
        let began = Instant::now();
        let answer = async { Wire::connect(proxy.http_addr()).await?.get("/").await };
        let (answer, hesitation) = with_hesitation(answer).await;
        assert_eq!(answer?.status(), 200);
        let took = began.elapsed().saturating_sub(hesitation);
        assert!(took < PATIENCE, "an answer after {took:?}, and {hesitation:?} of our own");
        let more = memory()?.saturating_sub(before);
        assert!(more < MEMORY, "{} MiB more", more >> 20);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// An app whose answers are large at `/large`.
async fn app() -> Result<Upstream> {
    Upstream::raw(|mut wire, _| async move {
        loop {
            let head = wire.through("\r\n\r\n").await?;
            let pieces = if head.contains(" /large ") { 20 } else { 0 };
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", pieces * PIECE.len())).await?;
            for _ in 0..pieces {
                wire.send(&PIECE).await?;
            }
        }
    })
    .await
}

#[tokio::test]
async fn requests_that_are_reset_at_once() -> Result<()> {
    endures(vec![], |n| [get(2 * n + 1, "/large"), frame(3, 0, 2 * n + 1, CANCEL)].concat()).await
}

#[tokio::test]
async fn requests_that_make_us_reset_them() -> Result<()> {
    // CVE-2025-8671: a window that becomes too large is an error of the stream, whose request goes on behind it.
    endures(vec![], |n| [get(2 * n + 1, "/large"), frame(8, 0, 2 * n + 1, TOO_MUCH)].concat()).await
}

#[tokio::test]
async fn requests_that_make_us_reset_them_in_other_ways() -> Result<()> {
    const NOTHING: &[u8] = &[0, 0, 0, 0];
    for fault in [
        // A window that grows by nothing, content and a head behind the end of the request, a length that is not its own.
        (|id| frame(8, 0, id, NOTHING)) as fn(u32) -> Vec<u8>,
        |id| frame(0, END_STREAM, id, b"x"),
        |id| frame(1, END_STREAM | END_HEADERS, id, &head("/", &[])),
        |id| frame(2, 0, id, &[id.to_be_bytes().as_slice(), &[0]].concat()),
    ] {
        attacked(move |proxy| async move {
            let Raw { mut reader, mut writer } = Raw::connect(proxy).await?;
            let sent = async {
                for id in (1..2_000_000).step_by(2) {
                    if writer.send(&[get(id, "/large"), fault(id)].concat()).await.is_err() {
                        return;
                    }
                }
            };
            let (_, goodbye) = tokio::join!(sent, reader.goodbye());
            goodbye
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn heads_that_make_no_sense_again_and_again() -> Result<()> {
    endures(vec![], |n| frame(1, END_STREAM | END_HEADERS, 2 * n + 1, &head("/", &[("connection", "close")])))
        .await
}

#[tokio::test]
async fn a_head_without_end() -> Result<()> {
    let opening = frame(1, END_STREAM, 1, &head("/", &[]));
    endures(opening, |_| frame(9, 0, 1, &raw::field("a", "b"))).await
}

#[tokio::test]
async fn a_head_without_end_whose_pieces_are_empty() -> Result<()> {
    let opening = frame(1, END_STREAM, 1, &head("/", &[]));
    endures(opening, |_| frame(9, 0, 1, b"")).await
}

#[tokio::test]
async fn settings_again_and_again() -> Result<()> {
    endures(vec![], |_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])).await
}

#[tokio::test]
async fn pings_whose_answers_nobody_reads() -> Result<()> {
    endures(vec![], |_| frame(6, 0, 0, b"12345678").repeat(10)).await
}

#[tokio::test]
async fn pieces_of_a_body_that_are_empty() -> Result<()> {
    endures(post(1), |_| frame(0, 0, 1, b"").repeat(10)).await
}

#[tokio::test]
async fn window_updates_that_change_next_to_nothing() -> Result<()> {
    endures(vec![], |_| frame(8, 0, 0, &[0, 0, 0, 1]).repeat(10)).await
}

#[tokio::test]
async fn priorities_again_and_again() -> Result<()> {
    endures(vec![], |_| frame(2, 0, 1, &[0, 0, 0, 0, 1]).repeat(10)).await
}

#[tokio::test]
async fn frames_of_a_kind_that_is_not_known() -> Result<()> {
    endures(vec![], |_| frame(99, 0, 0, b"x").repeat(10)).await
}

#[tokio::test]
async fn a_table_of_fields_that_is_used_again_and_again() -> Result<()> {
    // One long field put into the table, then named by one byte each: 16 KiB of frame are 60 MiB of fields.
    let long = raw::indexed_field("a", &"x".repeat(3900));
    let opening = frame(1, END_STREAM | END_HEADERS, 1, &[head("/", &[]), long].concat());
    endures(opening, |n| {
        let block = [head("/", &[]), vec![0xbe; 16_000]].concat();
        frame(1, END_STREAM | END_HEADERS, 2 * n + 3, &block)
    })
    .await
}

#[tokio::test]
async fn large_answers_that_nobody_takes() -> Result<()> {
    for window in [0, 1] {
        attacked(move |proxy| async move {
            let mut raw = Raw::connect(proxy).await?;
            raw.send(&frame(4, 0, 0, &[0, 4, 0, 0, 0, window])).await?;
            for n in 0..100 {
                raw.send(&get(2 * n + 1, "/large")).await?;
            }
            raw.reader.goodbye().await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_honest_client_that_pings_and_cancels_now_and_then_is_left_alone() -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().await;
    let app = app().await?;
    let proxy = start_for(&app).await?;
    let mut raw = Raw::connect(proxy.http_addr()).await?;
    raw.send(&frame(8, 0, 0, &[0x7f, 0, 0, 0])).await?;
    for n in 0..200 {
        let id = 4 * n + 1;
        raw.send(&[get(id, "/"), frame(6, 0, 0, b"12345678")].concat()).await?;
        raw.send(&[get(id + 2, "/large"), frame(3, 0, id + 2, CANCEL)].concat()).await?;
        let is_end = |frame: &Frame| frame.stream == id && frame.kind <= 1 && frame.flags & END_STREAM != 0;
        while !is_end(&within("an answer", raw.reader.next()).await??) {}
    }
    Ok(())
}
