//! The main promise: releases are swapped under load of every kind, and nobody notices.

mod clients;
mod release;

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nd_proxy::{DrainReport, Proxy};
use nd_supervise::TaskSet;
use parking_lot::Mutex;
use release::{Executed, Release};

use super::support::*;

const SWAPS: u64 = 20;

/// The release that serves after so many swaps.
fn name(swap: u64) -> &'static str {
    if swap.is_multiple_of(2) { "aaaaaa" } else { "bbbbbb" }
}

/// What the clients share with the one who swaps.
struct Load {
    proxy: SocketAddr,
    over: AtomicBool,
    answered: AtomicU64,
    /// The last swap that was acknowledged: answers must come from its release or a later one.
    acknowledged: AtomicU64,
    /// The last swap that was begun.
    begun: AtomicU64,
    /// WebSockets that were told that the service restarts.
    restarts: AtomicU64,
    /// Orders that were answered.
    ordered: Mutex<Vec<String>>,
}

impl Load {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Counts an answer; gives the release that gave it, if it may, to a request that was begun when swap `before` was
    /// the last one acknowledged.
    fn check<'t>(&self, status: u16, text: &'t str, before: u64) -> Result<&'t str> {
        let release = text.lines().next().unwrap_or_default();
        let may_be = |swap| name(swap) == release;
        if status != 200 || !(before..=self.begun.load(Ordering::SeqCst)).any(may_be) {
            return Err(Error::other(format!("status {status} after swap {before}: {text:.200}")));
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(release)
    }

    /// Swaps, drains and then kills the drained release, as a deployment would.
    async fn swap(&self, proxy: &Proxy, mut serving: Release, executed: &Executed) -> Result<()> {
        for swap in 1..=SWAPS {
            let answered = self.answered.load(Ordering::SeqCst);
            until("some load between two swaps", || {
                self.is_over() || self.answered.load(Ordering::SeqCst) > answered + 100
            })
            .await?;
            let next = Release::start(name(swap), executed).await?;
            self.begun.store(swap, Ordering::SeqCst);
            apply(proxy, state(swap + 1, &next)).await?;
            self.acknowledged.store(swap, Ordering::SeqCst);
            let units = [unit("app", name(swap - 1), 1)?, unit("app", name(swap - 1), 2)?];
            let report = proxy.drain(&units, Duration::from_secs(10)).await;
            let DrainReport { cut: 0, websockets_cut: 0, .. } = report else {
                return Err(Error::other(format!("swap {swap}: {report:?}")));
            };
            std::mem::replace(&mut serving, next).kill().await;
        }
        self.over.store(true, Ordering::SeqCst);
        Ok(())
    }
}

fn state(generation: u64, release: &Release) -> State {
    State::new(generation).app("app", name(generation - 1), &release.addresses())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_swaps_under_mixed_load_lose_cut_double_or_misroute_nothing() -> Result<()> {
    let (proxy, executed) = (start(settings())?, Executed::default());
    let first = Release::start(name(0), &executed).await?;
    apply(&proxy, state(1, &first)).await?;
    let load = Arc::new(Load {
        proxy: proxy.http_addr(),
        over: AtomicBool::default(),
        answered: AtomicU64::default(),
        acknowledged: AtomicU64::default(),
        begun: AtomicU64::default(),
        restarts: AtomicU64::default(),
        ordered: Mutex::default(),
    });
    let (clients, mut handles) = (TaskSet::new("clients"), Vec::new());
    for number in 0..28 {
        let load = Arc::clone(&load);
        let client = async move {
            let result = match number {
                0..12 => load.orders(number, true).await,
                12..16 => load.orders(number, false).await,
                16..18 => load.streams(number).await,
                18..20 => load.long_answers("/download").await,
                20..22 => load.long_answers("/events").await,
                22..24 => load.long_answers("/poll").await,
                24..26 => load.uploads().await,
                _ => load.socket().await,
            };
            load.over.store(true, Ordering::SeqCst); // one failure is enough
            result.map_err(|error| Error::other(format!("client {number}: {error}")))
        };
        handles.push(clients.spawn_with("client", client));
    }
    let swapped = load.swap(&proxy, first, &executed).await;
    for handle in handles {
        handle.await.map_err(Error::other)??;
    }
    swapped?;
    assert!(load.answered.load(Ordering::SeqCst) > 100 * SWAPS);
    assert!(load.restarts.load(Ordering::SeqCst) >= SWAPS, "WebSockets come back, and are told again");
    let (ordered, executed) = (load.ordered.lock(), executed.lock());
    let wrong: Vec<_> = ordered.iter().filter(|order| executed.get(*order) != Some(&1)).collect();
    assert!(wrong.is_empty(), "{wrong:?} were not executed once");
    assert_eq!(executed.len(), ordered.len(), "nothing was executed that was not answered");
    Ok(())
}
