//! What one table says about an app, and which of its units gets a request.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use nd_types::{Availability, ServiceLimits, Split, TrafficRules};

use super::security::Secured;
use super::sticky::Token;
use super::upstream::Upstream;
use crate::bandwidth::Bandwidth;
use crate::limiter::Limiter;
use crate::stats::ReleaseCounters;
use crate::turnstile::Turnstile;

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
    use tokio::time::Instant;

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
}
