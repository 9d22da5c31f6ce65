//! Counters: written by one worker each without locks, added up when somebody asks.

mod handshakes;
mod release;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nd_types::{AppName, Concurrency, Generation, RateLimit, ReleaseId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::bandwidth::Bandwidth;
use crate::bell::Bell;
use crate::limiter::Limiter;
use crate::turnstile::Turnstile;

pub(crate) use handshakes::{HandshakeFailure, HandshakeFailures};
pub(crate) use release::ReleaseCounters;
pub use release::{Latency, ReleaseTraffic};

/// Releases of one app whose figures are kept, so that the last ones of a release that was replaced are still seen.
const KEPT_RELEASES: usize = 8;

/// What the data plane has done since it started, and what it is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStats {
    /// The state that every worker serves.
    pub generation: Generation,
    /// Client connections open now.
    pub connections: u64,
    /// Client connections accepted so far.
    pub accepted: u64,
    /// Client connections turned away because too many were open.
    pub turned_away: u64,
    /// Requests refused before they could be routed: malformed, or for a host nobody serves.
    pub unrouted: u64,
    /// TLS handshakes that succeeded.
    #[serde(default)]
    pub handshakes: u64,
    /// TLS handshakes that did not.
    #[serde(default)]
    pub failed_handshakes: u64,
    /// The same by cause: `malformed`, `gone`, `too_slow`, `unknown_name`, `refused_by_client`,
    /// `client_certificate_expired`, `client_certificate_issuer` or `client_certificate`.
    #[serde(default)]
    pub handshake_failures: BTreeMap<String, u64>,
    /// Access records dropped because nobody took them in time.
    #[serde(default)]
    pub records_dropped: u64,
    /// Traffic of each app of the current state.
    pub apps: BTreeMap<AppName, AppTraffic>,
}

/// The traffic of one app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppTraffic {
    /// Requests so far, those in flight included.
    pub requests: u64,
    /// Answers by class, our own error pages included: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx.
    pub responses: [u64; 5],
    /// Bytes of request bodies and from upgraded clients.
    pub bytes_in: u64,
    /// Bytes of response bodies and to upgraded clients.
    pub bytes_out: u64,
    /// Requests and upgraded connections in progress now.
    pub in_flight: u64,
    /// Requests waiting now for an instance to become ready.
    pub held: u64,
    /// Requests that have had to wait so far.
    #[serde(default)]
    pub waited: u64,
    /// Requests that were sent a second time.
    pub retries: u64,
    /// Connections that were upgraded.
    pub upgrades: u64,
    /// The same by release; of releases that are gone, only the latest ones.
    #[serde(default)]
    pub releases: BTreeMap<ReleaseId, ReleaseTraffic>,
}

/// All counters of the process.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) workers: Box<[Arc<WorkerCounters>]>,
    pub(crate) bell: Arc<Bell>,
    apps: Mutex<BTreeMap<AppName, Arc<AppCounters>>>,
}

/// Counters of one worker; padded, so that two workers never write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerCounters {
    pub(crate) connections: Counter,
    pub(crate) accepted: Counter,
    pub(crate) turned_away: Counter,
    pub(crate) unrouted: Counter,
    pub(crate) handshakes: Counter,
    pub(crate) failed_handshakes: HandshakeFailures,
}

/// Counters of one app.
#[derive(Debug)]
pub(crate) struct AppCounters {
    workers: Box<[AppShare]>,
    /// The one named last comes last.
    releases: Mutex<Vec<Arc<ReleaseCounters>>>,
    /// Shared by all workers, because a limit applies to it.
    pub(crate) held: AtomicU32,
    pub(crate) waited: AtomicU64,
    /// Bytes that the held requests have sent already.
    pub(crate) held_bytes: AtomicU64,
    limiter: Mutex<Option<Arc<Limiter>>>,
    turnstile: Mutex<Option<Arc<Turnstile>>>,
    bandwidth: Mutex<Option<Arc<Bandwidth>>>,
    /// Of all apps.
    pub(crate) bell: Arc<Bell>,
}

/// One worker's share of an app's counters.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct AppShare {
    pub(crate) requests: Counter,
    pub(crate) responses: [Counter; 5],
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) in_flight: Counter,
    pub(crate) retries: Counter,
    pub(crate) upgrades: Counter,
}

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, n: u64) {
        self.0.store(self.get().saturating_sub(n), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl AppCounters {
    fn new(workers: usize, bell: &Arc<Bell>) -> Self {
        Self {
            bell: Arc::clone(bell),
            workers: (0..workers).map(|_| AppShare::default()).collect(),
            releases: Mutex::default(),
            held: AtomicU32::new(0),
            waited: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
            limiter: Mutex::default(),
            turnstile: Mutex::default(),
            bandwidth: Mutex::default(),
        }
    }

    /// The counters of a release, which are made when it is first named.
    pub(crate) fn release(&self, release: &ReleaseId) -> Arc<ReleaseCounters> {
        let mut releases = self.releases.lock();
        let known = releases.iter().position(|one| one.release == *release);
        let counters = match known {
            Some(at) => releases.remove(at),
            None => Arc::new(ReleaseCounters::new(release.clone(), self.workers.len())),
        };
        if releases.len() >= KEPT_RELEASES {
            releases.remove(0);
        }
        releases.push(Arc::clone(&counters));
        counters
    }

    /// The limiter of these limits, shared by all workers; who has asked how often is remembered as long as they stay.
    pub(crate) fn limiter(&self, limits: &[RateLimit]) -> Option<Arc<Limiter>> {
        let mut limiter = self.limiter.lock();
        if limits.is_empty() {
            *limiter = None;
        } else if !limiter.as_ref().is_some_and(|limiter| limiter.is_for(limits)) {
            *limiter = Some(Arc::new(Limiter::new(limits)));
        }
        limiter.clone()
    }

    /// The turnstile of this limit, shared by all workers; who is inside stays inside when the limit changes.
    pub(crate) fn turnstile(&self, limit: Option<Concurrency>) -> Option<Arc<Turnstile>> {
        let mut turnstile = self.turnstile.lock();
        *turnstile = limit.map(|limit| match &*turnstile {
            Some(same) if same.is_for(limit) => Arc::clone(same),
            Some(other) => Arc::new(other.with(limit)),
            None => Arc::new(Turnstile::new(limit)),
        });
        turnstile.clone()
    }

    /// The bandwidth, shared by all workers.
    pub(crate) fn bandwidth(&self, bytes_per_second: Option<NonZeroU64>) -> Option<Arc<Bandwidth>> {
        let mut bandwidth = self.bandwidth.lock();
        *bandwidth = bytes_per_second.map(|rate| match &*bandwidth {
            Some(same) if same.is_for(rate) => Arc::clone(same),
            _ => Arc::new(Bandwidth::new(rate)),
        });
        bandwidth.clone()
    }

    /// The share of one worker, which alone may write to it.
    pub(crate) fn share(&self, worker: usize) -> &AppShare {
        static NOBODY: AppShare = AppShare {
            requests: Counter::new(),
            responses: [const { Counter::new() }; 5],
            bytes_in: Counter::new(),
            bytes_out: Counter::new(),
            in_flight: Counter::new(),
            retries: Counter::new(),
            upgrades: Counter::new(),
        };
        self.workers.get(worker).unwrap_or(&NOBODY)
    }

    fn sum(&self) -> AppTraffic {
        let total =
            |pick: fn(&AppShare) -> &Counter| self.workers.iter().map(|share| pick(share).get()).sum();
        let mut responses = [0; 5];
        for share in &self.workers {
            for (sum, counter) in responses.iter_mut().zip(&share.responses) {
                *sum += counter.get();
            }
        }
        AppTraffic {
            requests: total(|s| &s.requests),
            responses,
            bytes_in: total(|s| &s.bytes_in),
            bytes_out: total(|s| &s.bytes_out),
            in_flight: total(|s| &s.in_flight),
            held: self.held.load(Ordering::Relaxed).into(),
            waited: self.waited.load(Ordering::Relaxed),
            retries: total(|s| &s.retries),
            upgrades: total(|s| &s.upgrades),
            releases: self.releases.lock().iter().map(|one| (one.release.clone(), one.sum())).collect(),
        }
    }
}

impl AppShare {
    /// Counts an answer by its status.
    pub(crate) fn response(&self, status: u16) {
        if let Some(counter) = self.responses.get(usize::from(status / 100).saturating_sub(1)) {
            counter.add(1);
        }
    }
}

impl Stats {
    pub(crate) fn new(workers: usize) -> Self {
        let counters = (0..workers).map(|_| Arc::new(WorkerCounters::default())).collect();
        Self { workers: counters, bell: Arc::default(), apps: Mutex::new(BTreeMap::new()) }
    }

    /// The counters of the named apps, in their order; an app that stays keeps its counters, one that is gone loses them.
    pub(crate) fn keep_only<'a>(&self, names: impl Iterator<Item = &'a AppName>) -> Vec<Arc<AppCounters>> {
        let mut apps = self.apps.lock();
        let mut kept = BTreeMap::new();
        let list = names
            .map(|name| {
                let old = apps.remove(name).or_else(|| kept.get(name).cloned());
                let counters =
                    old.unwrap_or_else(|| Arc::new(AppCounters::new(self.workers.len(), &self.bell)));
                kept.insert(name.clone(), Arc::clone(&counters));
                counters
            })
            .collect();
        *apps = kept;
        list
    }

    pub(crate) fn sum(&self, generation: Generation) -> ProxyStats {
        let total = |pick: fn(&WorkerCounters) -> &Counter| self.workers.iter().map(|w| pick(w).get()).sum();
        let mut handshake_failures = BTreeMap::new();
        self.workers.iter().for_each(|worker| worker.failed_handshakes.add_to(&mut handshake_failures));
        ProxyStats {
            generation,
            connections: total(|w| &w.connections),
            accepted: total(|w| &w.accepted),
            turned_away: total(|w| &w.turned_away),
            unrouted: total(|w| &w.unrouted),
            handshakes: total(|w| &w.handshakes),
            failed_handshakes: handshake_failures.values().sum(),
            handshake_failures,
            records_dropped: 0,
            apps: self.apps.lock().iter().map(|(name, counters)| (name.clone(), counters.sum())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_added_up_and_survive_a_new_state() {
        let stats = Stats::new(2);
        let (shop, blog): (AppName, AppName) = ("shop".parse().unwrap(), "blog".parse().unwrap());
        let counters = stats.keep_only([&shop, &blog].into_iter());
        let of_shop = counters.first().unwrap();
        of_shop.share(0).requests.add(2);
        of_shop.share(1).requests.add(3);
        of_shop.share(1).response(404);
        stats.keep_only([&shop].into_iter());
        let sum = stats.sum(Generation(1));
        assert_eq!(sum.apps.len(), 1);
        let traffic = sum.apps.get(&shop).unwrap();
        assert_eq!((traffic.requests, traffic.responses), (5, [0, 0, 0, 1, 0]));
    }
}
