//! The main promise: releases are swapped under load and nobody notices.

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nd_proxy::Proxy;
use nd_supervise::TaskSet;

use super::support::*;

const SWAPS: u64 = 20;

/// The release that serves after so many swaps.
fn release(swap: u64) -> &'static str {
    if swap.is_multiple_of(2) { "aaaaaa" } else { "bbbbbb" }
}

/// What the clients share with the one who swaps.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicU64,
    /// The last swap that was acknowledged: answers must come from its release or a later one.
    acknowledged: AtomicU64,
    /// The last swap that was begun.
    begun: AtomicU64,
}

impl Load {
    /// Whether an answer of this release is right for a request that was begun when `acknowledged` was `before`.
    fn allows(&self, release: &str, before: u64) -> bool {
        (before..=self.begun.load(Ordering::SeqCst)).any(|swap| self::release(swap) == release)
    }

    async fn client(&self, proxy: &Proxy, number: u64) -> Result<()> {
        let mut wire = Wire::connect(proxy.http_addr()).await?;
        let keeps_alive = !number.is_multiple_of(4);
        for n in 0u64.. {
            if self.over.load(Ordering::SeqCst) {
                return Ok(());
            }
            let before = self.acknowledged.load(Ordering::SeqCst);
            let sent =
                format!("{number}-{n}-{}", "x".repeat(usize::try_from(n % 3).map_err(Error::other)? * 5000));
            wire.send(self.request(n, &sent)).await?;
            let answer = wire.response().await?;
            let text = answer.text();
            let release = text.lines().next().unwrap_or_default();
            if answer.status() != 200 || !text.ends_with(&sent) || !self.allows(release, before) {
                return Err(Error::other(format!(
                    "client {number}, request {n} after swap {before}: {text:.200}"
                )));
            }
            self.answered.fetch_add(1, Ordering::SeqCst);
            if !keeps_alive {
                wire = Wire::connect(proxy.http_addr()).await?;
            }
        }
        Ok(())
    }

    fn request(&self, n: u64, body: &str) -> String {
        let head = "Host: app.test\r\nContent-Type: text/plain";
        match n % 3 {
            0 => format!("POST /{body} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            1 => format!(
                "PUT / HTTP/1.1\r\n{head}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
            _ => format!("GET / HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        }
    }

    /// Swaps, drains and then kills the drained release, as a deployment would.
    async fn swap(&self, proxy: &Proxy) -> Result<()> {
        let mut serving = start_release(release(0)).await?;
        for swap in 1..=SWAPS {
            let answered = self.answered.load(Ordering::SeqCst);
            until("some load between two swaps", || self.answered.load(Ordering::SeqCst) > answered + 100)
                .await?;
            let next = start_release(release(swap)).await?;
            self.begun.store(swap, Ordering::SeqCst);
            apply(proxy, state(swap + 1, release(swap), &next)).await?;
            self.acknowledged.store(swap, Ordering::SeqCst);
            let units = [unit("app", release(swap - 1), 1)?, unit("app", release(swap - 1), 2)?];
            let report = proxy.drain(&units, Duration::from_secs(10)).await;
            if report.cut > 0 {
                return Err(Error::other(format!("swap {swap}: {report:?}")));
            }
            for app in &std::mem::replace(&mut serving, next) {
                app.kill().await;
            }
        }
        self.over.store(true, Ordering::SeqCst);
        Ok(())
    }
}

async fn start_release(name: &'static str) -> Result<[Upstream; 2]> {
    Ok([Upstream::named(name).await?, Upstream::named(name).await?])
}

fn state(generation: u64, release: &str, apps: &[Upstream; 2]) -> State {
    let addresses: Vec<_> = apps.iter().map(|app| app.address).collect();
    State::new(generation).app("app", release, &addresses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_swaps_under_load_lose_double_or_misroute_no_request() -> Result<()> {
    let (proxy, load, clients) = (start(settings())?, Arc::new(Load::default()), TaskSet::new("clients"));
    let first = start_release(release(0)).await?;
    apply(&proxy, state(1, release(0), &first)).await?;
    let mut handles = Vec::new();
    for number in 0..32 {
        let (proxy, load) = (proxy.clone(), Arc::clone(&load));
        handles.push(clients.spawn_with("client", async move { load.client(&proxy, number).await }));
    }
    load.swap(&proxy).await?;
    for handle in handles {
        handle.await.map_err(Error::other)??;
    }
    assert!(load.answered.load(Ordering::SeqCst) > 100 * SWAPS);
    Ok(())
}
