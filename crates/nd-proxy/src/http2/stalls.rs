//! Answers that wait for their client: one that asks for much and takes nothing makes us keep it all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::deadline::Deadline;

/// So many answers that wait at once …
const MANY: u32 = 16;
/// … for so long, while not a byte of any other is taken, are an attack (CVE-2019-9511 and 9517).
const PATIENCE: Duration = Duration::from_secs(5);

/// The answers of one connection that wait for the client's windows.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    waiting: Cell<u32>,
    /// Pieces that were taken so far.
    taken: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Stalls {
    fn change(&self, is_waiting: bool) {
        let waiting = self.waiting.get();
        self.waiting.set(if is_waiting { waiting + 1 } else { waiting.saturating_sub(1) });
        if is_waiting && waiting + 1 == MANY {
            self.waker.borrow().as_ref().map(Waker::wake_by_ref);
        }
    }
}

/// One answer's share of them.
#[derive(Debug)]
pub(crate) struct Stall {
    all: Rc<Stalls>,
    is_waiting: bool,
}

impl Stall {
    pub(crate) fn new(all: &Rc<Stalls>) -> Self {
        Self { all: Rc::clone(all), is_waiting: false }
    }

    /// There is no room for it.
    pub(crate) fn waits(&mut self) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.all.change(true);
        }
    }

    /// A piece of it has gone.
    pub(crate) fn moves(&mut self) {
        self.all.taken.set(self.all.taken.get() + 1);
        if std::mem::take(&mut self.is_waiting) {
            self.all.change(false);
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        if self.is_waiting {
            self.all.change(false);
        }
    }
}

/// Notices when they are too many for too long.
#[derive(Debug, Default)]
pub(crate) struct StallWatch {
    seen: u64,
    since: Option<Instant>,
    deadline: Deadline,
}

impl StallWatch {
    /// Ready when the connection should be ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, stalls: &Stalls) -> Poll<()> {
        *stalls.waker.borrow_mut() = Some(cx.waker().clone());
        if stalls.waiting.get() < MANY {
            self.since = None;
            return Poll::Pending;
        }
        if std::mem::replace(&mut self.seen, stalls.taken.get()) != self.seen || self.since.is_none() {
            self.since = Some(Instant::now());
        }
        let since = self.since.unwrap_or_else(Instant::now);
        self.deadline.poll_due(cx, since + PATIENCE)
    }
}
