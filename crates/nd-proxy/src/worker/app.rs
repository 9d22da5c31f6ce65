//! One app as one worker sees it: whether it is paused, who waits for it, and what the current table says.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nd_types::{AppName, Availability, Gate, ReleaseId, ServiceLimits, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::retry_budget::RetryBudget;
use super::service::{Meters, Service};
use super::trial::Dealer;
use crate::stats::{AppCounters, AppShare, ReleaseCounters};

/// What waiting requests of one app may have sent by then, all together.
const MOST_HELD_BYTES: u64 = 16 << 20;

/// An app; it stays the same object while tables come and go.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: AppName,
    counters: Arc<AppCounters>,
    worker: usize,
    /// What the current table says; `None` once the app has left it.
    service: RefCell<Option<Rc<Service>>>,
    paused_until: Cell<Option<Instant>>,
    /// What the current table puts in front of it …
    gate: Cell<Gate>,
    /// … and until when requests wait for that.
    gated_until: Cell<Option<Instant>>,
    /// Told after every change of the fields above.
    changed: Notify,
    /// It sleeps, or has been woken and no unit is ready yet.
    is_waking: Cell<bool>,
    /// Somebody asks units that cannot be reached again and again.
    is_asked_again: Cell<bool>,
    pub(crate) retries: RetryBudget,
    pub(crate) dealer: Dealer,
}

impl App {
    pub(crate) fn new(name: AppName, counters: Arc<AppCounters>, worker: usize) -> Rc<Self> {
        Rc::new(Self {
            name,
            counters,
            worker,
            service: RefCell::new(None),
            paused_until: Cell::new(None),
            gate: Cell::new(Gate::Open),
            gated_until: Cell::new(None),
            changed: Notify::new(),
            is_waking: Cell::new(false),
            is_asked_again: Cell::new(false),
            retries: RetryBudget::default(),
            dealer: Dealer::of_worker(worker),
        })
    }

    /// This worker's counters of the app.
    pub(crate) fn share(&self) -> &AppShare {
        self.counters.share(self.worker)
    }

    /// Whose counters [`Self::share`] gives.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// What counts for these limits, shared by all workers.
    pub(crate) fn meters(&self, limits: &ServiceLimits) -> Meters {
        Meters {
            limiter: self.counters.limiter(&limits.rate_limits),
            turnstile: self.counters.turnstile(limits.concurrency),
            bandwidth: self.counters.bandwidth(limits.bandwidth),
        }
    }

    /// The counters of a release, shared by all workers.
    pub(crate) fn release(&self, release: &ReleaseId) -> Arc<ReleaseCounters> {
        self.counters.release(release)
    }

    pub(crate) fn service(&self) -> Option<Rc<Service>> {
        self.service.borrow().clone()
    }

    /// Takes over what a new table says. Whoever waits is told by [`Self::wake`].
    pub(crate) fn set_service(&self, service: Option<Rc<Service>>) {
        let availability = service.as_ref().map(|service| &service.availability);
        let is_asleep = availability == Some(&Availability::Sleeping);
        let awaits = service.as_ref().is_some_and(|service| {
            service.backends.is_empty() && service.availability == Availability::Serving
        });
        self.is_waking.set(is_asleep || awaits && self.is_waking.get());
        if !is_asleep {
            self.counters.bell.is_answered(&self.name);
        }
        *self.service.borrow_mut() = service;
    }

    /// Lets requests wait until `until`, or go on (`None`).
    pub(crate) fn pause(&self, until: Option<Instant>) {
        self.paused_until.set(until);
        self.wake();
    }

    /// When the pause ends, while there is one.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        let until = self.paused_until.get().max(self.gated_until.get());
        until.filter(|until| *until > Instant::now())
    }

    /// What the current table puts in front of it.
    pub(crate) fn gate(&self) -> Gate {
        self.gate.get()
    }

    /// Takes over what a new table puts in front of it. Whoever waits is told by [`Self::wake`].
    pub(crate) fn set_gate(&self, gate: Gate) {
        if self.gate.replace(gate) != gate {
            self.gated_until.set(gate.wait(Timestamp::now()).map(|left| Instant::now() + left));
        }
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Waits for the next change.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Says that somebody waits for it while it sleeps.
    pub(crate) fn ring(&self) {
        self.counters.bell.ring(&self.name);
    }

    /// Whether it sleeps, or was woken and no unit is ready yet.
    pub(crate) fn is_waking(&self) -> bool {
        self.is_waking.get()
    }

    /// Whether one of the waiting requests asks units that cannot be reached again and again.
    pub(crate) fn is_asked_again(&self) -> bool {
        self.is_asked_again.get()
    }

    /// Makes a waiting request the one that does, unless another one is.
    pub(crate) fn take_turn(self: &Rc<Self>) -> Option<Turn> {
        (!self.is_asked_again.replace(true)).then(|| Turn(Rc::clone(self)))
    }

    /// Takes one of the `limit` places for waiting requests, which all workers share. So many `bytes` of the request are
    /// here already.
    pub(crate) fn hold(self: &Rc<Self>, limit: u32, bytes: usize) -> Option<Held> {
        let bytes = bytes as u64;
        let before = self.counters.held.fetch_add(1, Ordering::Relaxed);
        self.counters.waited.fetch_add(1, Ordering::Relaxed);
        let bytes_before = self.counters.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { app: Rc::clone(self), bytes };
        (before < limit && bytes_before + bytes <= MOST_HELD_BYTES).then_some(held)
    }
}

/// A waiting request's place.
#[derive(Debug)]
pub(crate) struct Held {
    app: Rc<App>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.app.counters.held.fetch_sub(1, Ordering::Relaxed);
        self.app.counters.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The turn of the request that asks units again. Should it end in vain, somebody else's begins.
#[derive(Debug)]
pub(crate) struct Turn(Rc<App>);

impl Turn {
    /// All who wait may ask.
    pub(crate) fn succeeded(self) {
        self.0.wake();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_asked_again.set(false);
        self.0.changed.notify_one();
    }
}

/// A raw connection of an app that is in progress.
#[derive(Debug)]
pub(crate) struct InProgress(Rc<App>);

impl InProgress {
    pub(crate) fn of(app: &Rc<App>) -> Self {
        app.share().in_flight.add(1);
        Self(Rc::clone(app))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.share().in_flight.subtract(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_for_waiting_requests_are_limited_and_given_back() {
        let name: AppName = "shop".parse().unwrap();
        let counters = crate::stats::Stats::new(1).keep_only([&name].into_iter()).remove(0);
        let app = App::new(name, counters, 0);
        let first = app.hold(1, 100);
        assert!(first.is_some() && app.hold(1, 0).is_none());
        drop(first);
        assert!(app.hold(1, 0).is_some());
        let large = app.hold(9, usize::try_from(MOST_HELD_BYTES).unwrap());
        assert!(large.is_some() && app.hold(9, 1).is_none(), "their bytes are limited too");
    }
}
