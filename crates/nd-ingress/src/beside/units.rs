//! Which units states have named, and the wait until nothing is in flight on them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use nd_core::ports::DrainReport;
use nd_types::{EdgeState, UnitId};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connections;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A unit that nobody drains is forgotten after this time.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// The units of the state that serves, and those that it does not name any more.
#[derive(Default)]
pub(super) struct Units(Mutex<BTreeMap<UnitId, Known>>);

struct Known {
    addresses: BTreeSet<SocketAddr>,
    /// Since when it is not named any more.
    left: Option<Instant>,
}

impl Units {
    /// From now on requests go to the units of this state.
    pub(super) fn named_by(&self, state: &EdgeState) {
        let (mut units, now) = (self.0.lock(), Instant::now());
        for known in units.values_mut() {
            known.left.get_or_insert(now);
        }
        for service in &state.services {
            let ports = state.routes.iter().filter(|route| route.app == service.app);
            let ports: Vec<u16> = ports.filter_map(|route| Some(route.options.port?.get())).collect();
            for backend in &service.backends {
                let others = ports.iter().map(|port| SocketAddr::new(backend.address.ip(), *port));
                let addresses = others.chain([backend.address]).collect();
                units.insert(backend.unit.clone(), Known { addresses, left: None });
            }
        }
        units.retain(|_, known| known.left.is_none_or(|left| left.elapsed() < FORGOTTEN));
    }

    /// Waits until `has_let_go` of the table that named these units last, and no connection to them is left; both twice in a
    /// row, for a request may be between the two.
    pub(super) async fn drain<F: Future<Output = bool>>(
        &self,
        units: &[UnitId],
        deadline: Duration,
        has_let_go: impl Fn(Instant) -> F,
    ) -> DrainReport {
        let Some((addresses, replaced)) = self.left(units) else { return DrainReport::default() };
        let give_up = Instant::now() + deadline;
        let (mut most, mut quiet) = (0, 0);
        let left = loop {
            let left = connections::to(&addresses).await;
            most = most.max(left);
            quiet = if left == 0 && has_let_go(replaced).await { quiet + 1 } else { 0 };
            if quiet == 2 || Instant::now() >= give_up {
                break left;
            }
            tokio::time::sleep_until(give_up.min(Instant::now() + LOOK)).await;
        };
        self.0.lock().retain(|unit, known| known.left.is_none() || !units.contains(unit));
        DrainReport { finished: most - left.min(most), cut: left, ..DrainReport::default() }
    }

    /// Where these units listened, and when the last of them was left; nothing where none was ever named.
    fn left(&self, units: &[UnitId]) -> Option<(BTreeSet<SocketAddr>, Instant)> {
        let known = self.0.lock();
        let known: Vec<_> = units.iter().filter_map(|unit| known.get(unit)).collect();
        let replaced = known.iter().map(|known| known.left.unwrap_or_else(Instant::now)).max()?;
        Some((known.iter().flat_map(|known| known.addresses.clone()).collect(), replaced))
    }
}
