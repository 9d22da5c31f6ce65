//! What a worker can tell each of its connections while the connection's task sleeps: close politely, or be cut.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::idle::Idle;
use super::upstream::Upstream;

/// One connection, as the rest of the worker sees it.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waker: RefCell<Option<Waker>>,
    /// Where its current request or tunnel goes.
    target: RefCell<Option<Rc<Upstream>>>,
    kind: Cell<Kind>,
    /// End at once, finished or not.
    cut: Cell<bool>,
    /// Say goodbye from this moment on, with this WebSocket close code.
    goodbye: Cell<Option<(Instant, u16)>>,
    /// Since when nothing has been asked for on it.
    idle_since: Cell<Option<Instant>>,
    /// Its place is for somebody else, if nothing is asked for on it now.
    gives_way: Cell<bool>,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// HTTP requests.
    #[default]
    Requests,
    /// A WebSocket: it can be closed politely.
    WebSocket,
    /// Bytes whose meaning is unknown.
    Opaque,
}

impl Signal {
    /// Makes the task that polls with `cx` the one to wake. A task's waker stays the same for its life.
    pub(crate) fn attach(&self, cx: &Context<'_>) {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
    }

    pub(crate) fn enter(&self, target: &Rc<Upstream>, kind: Kind) {
        *self.target.borrow_mut() = Some(Rc::clone(target));
        self.kind.set(kind);
    }

    pub(crate) fn leave(&self) {
        *self.target.borrow_mut() = None;
        self.kind.set(Kind::Requests);
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind.get()
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    pub(crate) fn goodbye(&self) -> Option<(Instant, u16)> {
        self.goodbye.get()
    }

    pub(crate) fn say_goodbye(&self, at: Instant, code: u16) {
        if self.goodbye.get().is_none() {
            self.goodbye.set(Some((at, code)));
            self.wake();
        }
    }

    /// Nothing has been asked for since then; or something is, now.
    pub(crate) fn is_idle_since(&self, since: Option<Instant>) {
        self.idle_since.set(since);
        if since.is_none() {
            self.gives_way.set(false);
        }
    }

    pub(crate) fn gives_way(&self) -> bool {
        self.gives_way.get()
    }

    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Since when it is idle, unless it gives way already.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.idle_since.get().filter(|_| !self.gives_way.get())
    }

    /// Closes it, should it be idle still when its task hears of it.
    pub(super) fn give_way(&self) {
        self.gives_way.set(true);
        self.wake();
    }

    fn goes_to(&self, upstream: &Rc<Upstream>) -> bool {
        self.target.borrow().as_ref().is_some_and(|target| Rc::ptr_eq(target, upstream))
    }
}

/// All connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    open: RefCell<HashMap<u64, Rc<Signal>>>,
    next: Cell<u64>,
    /// How many of them are streams of others.
    streams: Cell<usize>,
    idle: Idle,
    emptied: Notify,
}

impl Signals {
    /// Registers a connection for as long as the guard lives.
    pub(crate) fn register(self: &Rc<Self>) -> Registered {
        self.register_as(false)
    }

    /// Registers one of the streams of a connection: it can be told and cut like one, but does not count as one.
    pub(crate) fn register_stream(self: &Rc<Self>) -> Registered {
        self.register_as(true)
    }

    fn register_as(self: &Rc<Self>, is_stream: bool) -> Registered {
        self.streams.set(self.streams.get() + usize::from(is_stream));
        let key = self.next.get();
        self.next.set(key.wrapping_add(1));
        let signal = Rc::new(Signal::default());
        self.open.borrow_mut().insert(key, Rc::clone(&signal));
        Registered { signals: Rc::clone(self), key, is_stream, signal }
    }

    /// Open connections.
    pub(crate) fn count(&self) -> usize {
        self.open.borrow().len() - self.streams.get()
    }

    /// Streams of connections that carry many requests.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Closes the connection on which nothing was asked for the longest; false where none is idle for long.
    pub(crate) fn close_idle(&self) -> bool {
        self.idle.close_longest(&self.open.borrow())
    }

    pub(crate) fn all(&self) -> Vec<Rc<Signal>> {
        self.open.borrow().values().cloned().collect()
    }

    /// The connections that go to one of `targets` now.
    pub(crate) fn to(&self, targets: &[Rc<Upstream>]) -> Vec<Rc<Signal>> {
        let goes = |signal: &&Rc<Signal>| targets.iter().any(|target| signal.goes_to(target));
        self.open.borrow().values().filter(goes).cloned().collect()
    }

    /// Waits until no connection is open.
    pub(crate) async fn emptied(&self) {
        while !self.open.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

/// A connection's place among the signals.
#[derive(Debug)]
pub(crate) struct Registered {
    signals: Rc<Signals>,
    key: u64,
    is_stream: bool,
    pub(crate) signal: Rc<Signal>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let streams = &self.signals.streams;
        streams.set(streams.get() - usize::from(self.is_stream));
        let mut open = self.signals.open.borrow_mut();
        open.remove(&self.key);
        if open.is_empty() {
            self.signals.emptied.notify_waiters();
        }
    }
}
