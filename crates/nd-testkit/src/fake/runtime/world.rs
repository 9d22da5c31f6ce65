//! All units of a fake runtime, and who is told when one changes.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use nd_core::ports::{HintKind, UnitHint, UnitObserved};
use nd_supervise::Clock;
use nd_types::{ExitStatus, UnitId};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::unit::Unit;
use crate::fake::network::FakeNetwork;

/// The first port that is leased to a process.
const FIRST_PORT: u16 = 20_000;

pub(super) struct World {
    units: Mutex<BTreeMap<UnitId, Unit>>,
    network: FakeNetwork,
    clock: Arc<dyn Clock>,
    /// Touched after every change.
    changed: watch::Sender<()>,
    hints: Mutex<broadcast::Sender<UnitHint>>,
    hints_are_lost: AtomicBool,
    /// Counts starts, for addresses and pids.
    started: AtomicU16,
    leased: AtomicU16,
}

/// A start that happened.
pub(super) struct Begun {
    /// Which run of the unit began, and when and how it will end by itself.
    pub(super) ends: Option<(u32, (Duration, ExitStatus))>,
}

impl World {
    pub(super) fn new(network: FakeNetwork, clock: Arc<dyn Clock>) -> Self {
        Self {
            units: Mutex::default(),
            network,
            clock,
            changed: watch::Sender::new(()),
            hints: Mutex::new(broadcast::Sender::new(256)),
            hints_are_lost: AtomicBool::new(false),
            started: AtomicU16::new(1),
            leased: AtomicU16::new(FIRST_PORT),
        }
    }

    /// Looks at one unit.
    pub(super) fn with<T>(&self, id: &UnitId, look: impl FnOnce(&Unit) -> T) -> Option<T> {
        self.units.lock().get(id).map(look)
    }

    pub(super) fn see(&self, wanted: impl Fn(&UnitId, &Unit) -> bool) -> Vec<UnitObserved> {
        let units = self.units.lock();
        units.iter().filter(|(id, unit)| wanted(id, unit)).map(|(id, unit)| unit.observed(id)).collect()
    }

    /// Waits until `answer` has one; asks after every change.
    pub(super) async fn until<T>(&self, answer: impl Fn() -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(answer) = answer() {
                return answer;
            }
            // The sender is ours, so the channel cannot close.
            changed.changed().await.ok();
        }
    }

    pub(super) fn create(&self, id: &UnitId, unit: impl FnOnce() -> Unit) {
        self.units.lock().entry(id.clone()).or_insert_with(unit);
        self.changed.send_replace(());
    }

    /// Starts a unit that does not run; `None` when there is none.
    pub(super) fn start(&self, id: &UnitId) -> Option<Begun> {
        let mut units = self.units.lock();
        let unit = units.get_mut(id)?;
        if unit.status.is_running() {
            return Some(Begun { ends: None });
        }
        unit.start(self.started.fetch_add(1, Ordering::Relaxed), self.clock.wall());
        if let Some((address, from)) = unit.listener() {
            self.network.listen(address, from, unit.behaviour.answers);
        }
        let begun = Begun { ends: unit.behaviour.ends.map(|ends| (unit.starts, ends)) };
        drop(units);
        self.tell(id, HintKind::Started);
        Some(begun)
    }

    /// Ends a unit if it runs, and if that is the run meant.
    pub(super) fn end(&self, id: &UnitId, run: Option<u32>, exit: ExitStatus) {
        let mut units = self.units.lock();
        let Some(unit) = units.get_mut(id) else { return };
        if !unit.status.is_running() || run.is_some_and(|run| run != unit.starts) {
            return;
        }
        if let Some((address, _)) = unit.listener() {
            self.network.close(address);
        }
        unit.end(exit, self.clock.wall());
        drop(units);
        if exit == ExitStatus::OutOfMemory {
            self.tell(id, HintKind::OutOfMemory);
        }
        self.tell(id, HintKind::Died);
    }

    pub(super) fn remove(&self, id: &UnitId) {
        self.end(id, None, ExitStatus::Signal(9));
        if self.units.lock().remove(id).is_some() {
            self.tell(id, HintKind::Removed);
        }
    }

    pub(super) fn hints(&self) -> broadcast::Receiver<UnitHint> {
        self.hints.lock().subscribe()
    }

    pub(super) fn lose_hints(&self, lose: bool) {
        self.hints_are_lost.store(lose, Ordering::Relaxed);
    }

    pub(super) fn end_hints(&self) {
        *self.hints.lock() = broadcast::Sender::new(256);
    }

    pub(super) fn lease(&self) -> NonZeroU16 {
        NonZeroU16::new(self.leased.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU16::MAX)
    }

    fn tell(&self, id: &UnitId, kind: HintKind) {
        self.changed.send_replace(());
        if !self.hints_are_lost.load(Ordering::Relaxed) {
            // Nobody listening is fine.
            self.hints.lock().send(UnitHint { unit: Some(id.clone()), kind }).ok();
        }
    }
}
