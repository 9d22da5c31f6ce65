//! Trouble on demand.

use std::collections::BTreeMap;

use nd_core::ports::{PortError, PortErrorKind, PortResult};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused, and nothing happens.
    Fail(PortErrorKind),
    /// What was asked happens, but the answer says that it failed in this way.
    LoseAnswer(PortErrorKind),
    /// It does not return until the fault is cleared; then it goes on.
    Hang,
    /// It panics.
    Panic,
}

/// The faults of one stand-in, by call.
#[derive(Debug)]
pub struct Faults<C> {
    scripted: watch::Sender<BTreeMap<C, Scripted>>,
    hanging: Mutex<BTreeMap<C, u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Scripted {
    fault: Fault,
    once: bool,
}

impl<C: Copy + Ord + std::fmt::Debug> Faults<C> {
    pub(super) fn none() -> Self {
        Self { scripted: watch::Sender::new(BTreeMap::new()), hanging: Mutex::default() }
    }

    /// Every such call meets the fault until it is cleared.
    pub fn set(&self, call: C, fault: Fault) {
        self.script(call, Scripted { fault, once: false });
    }

    /// The next such call meets the fault; for [`Fault::Hang`] until it is cleared.
    pub fn once(&self, call: C, fault: Fault) {
        self.script(call, Scripted { fault, once: true });
    }

    /// Such calls go well again.
    pub fn clear(&self, call: C) {
        self.scripted.send_modify(|scripted| {
            scripted.remove(&call);
        });
    }

    /// How many such calls hang now.
    pub fn hanging(&self, call: C) -> u32 {
        self.hanging.lock().get(&call).copied().unwrap_or(0)
    }

    /// Does what was asked, or what the script says instead.
    pub(super) async fn meet<T>(&self, call: C, effect: impl FnOnce() -> PortResult<T>) -> PortResult<T> {
        match self.take(call) {
            None => effect(),
            Some(Fault::Fail(kind)) => Err(scripted(kind, call)),
            Some(Fault::LoseAnswer(kind)) => {
                effect()?;
                Err(scripted(kind, call))
            }
            Some(Fault::Hang) => {
                self.hang(call).await;
                effect()
            }
            Some(Fault::Panic) => panic_as_scripted(call),
        }
    }

    fn script(&self, call: C, scripted: Scripted) {
        self.scripted.send_modify(|all| {
            all.insert(call, scripted);
        });
    }

    /// The fault of this call. A hang stays scripted until it is cleared, or nobody could end it.
    fn take(&self, call: C) -> Option<Fault> {
        let found = self.scripted.borrow().get(&call).copied()?;
        if found.once && found.fault != Fault::Hang {
            self.clear(call);
        }
        Some(found.fault)
    }

    async fn hang(&self, call: C) {
        let _counted = Counted::new(&self.hanging, call);
        let mut scripted = self.scripted.subscribe();
        let cleared = |all: &BTreeMap<C, Scripted>| all.get(&call).is_none_or(|s| s.fault != Fault::Hang);
        // The sender is ours, so the channel cannot close.
        scripted.wait_for(cleared).await.map(drop).ok();
    }
}

/// Counts a hanging call, also when its caller gives up.
struct Counted<'a, C: Copy + Ord> {
    hanging: &'a Mutex<BTreeMap<C, u32>>,
    call: C,
}

impl<'a, C: Copy + Ord> Counted<'a, C> {
    fn new(hanging: &'a Mutex<BTreeMap<C, u32>>, call: C) -> Self {
        *hanging.lock().entry(call).or_default() += 1;
        Self { hanging, call }
    }
}

impl<C: Copy + Ord> Drop for Counted<'_, C> {
    fn drop(&mut self) {
        *self.hanging.lock().entry(self.call).or_default() -= 1;
    }
}

fn scripted(kind: PortErrorKind, call: impl std::fmt::Debug) -> PortError {
    PortError::new(kind, format!("{call:?}: failed as the test wants"))
}

#[allow(clippy::panic, reason = "a panic is what the test asked for")]
fn panic_as_scripted(call: impl std::fmt::Debug) -> ! {
    panic!("{call:?}: panicked as the test wants")
}
