//! One app as one worker sees it: which units serve it now, whether it is paused, who waits for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nd_types::{AppName, Availability, Gate, ReleaseId, ServiceLimits, Split, Timestamp, TrafficRules};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::retry_budget::RetryBudget;
use super::security::Secured;
use super::sticky::Token;
use super::trial::Dealer;
use super::upstream::Upstream;
use crate::bandwidth::Bandwidth;
use crate::limiter::Limiter;
use crate::stats::{AppCounters, AppShare, ReleaseCounters};
use crate::turnstile::Turnstile;

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

/// What one table says about an app.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) availability: Availability,
    pub(crate) limits: ServiceLimits,
    /// `None` while there are none.
    pub(crate) rules: Option<Arc<TrafficRules>>,
    pub(crate) backends: Vec<Rc<Upstream>>,
    /// The release that some of the clients get, while one is tried.
    pub(crate) split: Option<Split>,
    pub(crate) meters: Meters,
    /// What it wants of TLS, if anything.
    pub(crate) tls: Option<Rc<Secured>>,
    /// Of the release that serves, for what no unit of it answers.
    pub(crate) traffic: Arc<ReleaseCounters>,
    next: Cell<usize>,
}

/// What a service asks of requests.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) limits: ServiceLimits,
    /// `None` while there are none.
    pub(crate) rules: Option<Arc<TrafficRules>>,
    /// `None` where it wants nothing of TLS.
    pub(crate) tls: Option<Rc<Secured>>,
}

/// The units of a service, and which of them some of the clients get.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) backends: Vec<Rc<Upstream>>,
    pub(crate) split: Option<Split>,
}

/// What counts for all workers together, where something is limited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {
    /// How often may be asked.
    pub(crate) limiter: Option<Arc<Limiter>>,
    /// How many requests may be with the app at once.
    pub(crate) turnstile: Option<Arc<Turnstile>>,
    /// How many bytes bodies may move in a second.
    pub(crate) bandwidth: Option<Arc<Bandwidth>>,
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

impl Service {
    pub(crate) fn new(
        availability: Availability,
        terms: Terms,
        pool: Pool,
        traffic: Arc<ReleaseCounters>,
        meters: Meters,
    ) -> Rc<Self> {
        let (Terms { limits, rules, tls }, Pool { backends, split }) = (terms, pool);
        let next = Cell::new(0);
        Rc::new(Self { availability, limits, rules, backends, split, meters, tls, traffic, next })
    }

    /// Whether another release than this one is meant for clients with this lot.
    fn is_for_others(&self, backend: &Upstream, lot: u8) -> bool {
        self.split
            .as_ref()
            .is_some_and(|split| (*backend.unit.release() == split.release) != split.takes(lot))
    }

    /// The backend that a client wants to stay with, as long as it is well and the client's release has not changed; never
    /// one of `except`.
    pub(crate) fn stay(&self, wanted: Token, lot: u8, except: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
        let backend = self.backends.iter().find(|backend| backend.token == wanted)?;
        if self.is_for_others(backend, lot) {
            return None;
        }
        let was_tried = except.iter().any(|tried| Rc::ptr_eq(tried, backend));
        let is_well = !backend.record.is_ejected() && !backend.was_refused();
        (is_well && !was_tried).then(|| Rc::clone(backend))
    }

    /// The backend with the fewest requests in flight, in turn among equals; never one of `except`, and one that was
    /// ejected, or could not be reached a moment ago, or is meant for other clients, only if there is no other.
    pub(crate) fn pick(&self, lot: u8, except: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
        let count = self.backends.len();
        let start = self.next.get();
        let in_turn = (0..count).filter_map(|offset| self.backends.get((start + offset) % count));
        let allowed = in_turn.filter(|backend| !except.iter().any(|tried| Rc::ptr_eq(tried, backend)));
        let rank = |backend: &&Rc<Upstream>| {
            let is_bad = (backend.record.is_ejected(), backend.was_refused());
            (is_bad, self.is_for_others(backend, lot), backend.in_flight())
        };
        let chosen = allowed.min_by_key(rank)?;
        self.next.set((start + 1) % count);
        Some(Rc::clone(chosen))
    }
}

#[cfg(test)]
mod tests {
    use super::super::upstream::InFlight;
    use super::super::upstream::tests::upstream_of;
    use super::*;

    fn service(count: u16) -> Rc<Service> {
        let backends = (1..=count)
            .map(|slot| {
                let unit = format!("shop-aaaaaa-{slot}");
                upstream_of(&unit, ([127, 0, 0, 1], slot).into())
            })
            .collect();
        let traffic = Arc::new(ReleaseCounters::new("aaaaaa".parse().unwrap(), 1));
        Service::new(
            Availability::Serving,
            Terms::default(),
            Pool { backends, split: None },
            traffic,
            Meters::default(),
        )
    }

    #[tokio::test]
    async fn equal_backends_are_asked_in_turn() {
        let service = service(3);
        let slots: Vec<_> = (0..6).map(|_| service.pick(0, &[]).unwrap().unit.slot()).collect();
        assert_eq!(slots, [1, 2, 3, 1, 2, 3]);
    }

    #[tokio::test]
    async fn the_least_busy_backend_is_asked() {
        let service = service(2);
        let _busy = InFlight::on(Rc::clone(service.backends.first().unwrap()));
        assert!((0..4).all(|_| service.pick(0, &[]).unwrap().unit.slot() == 2));
    }

    #[tokio::test]
    async fn one_that_refused_is_asked_last_and_one_tried_never() {
        let service = service(2);
        service.backends.first().unwrap().mark_refused(Instant::now());
        assert!((0..4).all(|_| service.pick(0, &[]).unwrap().unit.slot() == 2));
        let tried = [Rc::clone(service.backends.get(1).unwrap())];
        assert_eq!(service.pick(0, &tried).unwrap().unit.slot(), 1);
        assert!(service.pick(0, &service.backends.clone()).is_none());
    }

    #[tokio::test]
    async fn one_that_fails_again_and_again_is_asked_only_if_there_is_no_other() {
        let service = service(2);
        let [first, second] = service.backends.as_slice() else { unreachable!() };
        (0..3).for_each(|_| first.record.failed(Instant::now()));
        let busy = InFlight::on(Rc::clone(second));
        assert!((0..4).all(|_| service.pick(0, &[]).unwrap().unit.slot() == 2));
        assert_eq!(service.pick(0, &[Rc::clone(second)]).unwrap().unit.slot(), 1);
        (0..3).for_each(|_| second.record.failed(Instant::now()));
        assert_eq!(service.pick(0, &[]).unwrap().unit.slot(), 1, "there is always one that is asked");
        drop(busy);
    }

    #[tokio::test]
    async fn while_a_release_is_tried_each_client_gets_its_own_unless_that_is_ill() {
        let backends = ["shop-aaaaaa-1", "shop-aaaaaa-2", "shop-bbbbbb-1"];
        let backends = backends.map(|unit| upstream_of(unit, ([127, 0, 0, 1], 1).into())).to_vec();
        let traffic = Arc::new(ReleaseCounters::new("aaaaaa".parse().unwrap(), 1));
        let split = Some(Split { release: "bbbbbb".parse().unwrap(), percent: 5 });
        let (terms, pool, meters) = (Terms::default(), Pool { backends, split }, Meters::default());
        let service = Service::new(Availability::Serving, terms, pool, traffic, meters);
        let gets_new = |lot| service.pick(lot, &[]).unwrap().unit.release().as_str() == "bbbbbb";
        assert!((0..9).all(|_| gets_new(4) && !gets_new(5) && !gets_new(99)));
        let [old, _, new] = service.backends.as_slice() else { unreachable!() };
        assert!(service.stay(old.token, 4, &[]).is_none() && service.stay(old.token, 5, &[]).is_some());
        new.mark_refused(Instant::now());
        assert!(!gets_new(4), "whatever its lot, it gets an answer");
        assert_eq!(service.pick(4, std::slice::from_ref(old)).unwrap().unit.slot(), 2);
    }

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
