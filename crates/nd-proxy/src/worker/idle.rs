//! Connections on which nothing is asked for: at the limit, the one that has been idle the longest makes room for a newcomer.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::signal::Signal;

/// Whoever has asked within this time may well ask again.
const SHORTEST: Duration = Duration::from_secs(1);
/// So many are remembered of one look at all connections …
const REMEMBERED: usize = 64;
/// … and the next look is so much later for each of them, or a flood of newcomers would cost a look each.
const LOOK: Duration = Duration::from_micros(1);

/// Which connections to close next.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Those that have been idle the longest, and since when.
    longest: RefCell<VecDeque<(Instant, Weak<Signal>)>>,
    look_again: Cell<Option<Instant>>,
}

impl Idle {
    pub(super) fn close_longest(&self, open: &HashMap<u64, Rc<Signal>>) -> bool {
        let now = Instant::now();
        let next = self.next().or_else(|| {
            self.look(open, now);
            self.next()
        });
        next.inspect(|signal| signal.give_way()).is_some()
    }

    /// The next one of those remembered that is idle still.
    fn next(&self) -> Option<Rc<Signal>> {
        loop {
            let (since, signal) = self.longest.borrow_mut().pop_front()?;
            let signal = signal.upgrade().filter(|signal| signal.idle_since() == Some(since));
            if signal.is_some() {
                return signal;
            }
        }
    }

    fn look(&self, open: &HashMap<u64, Rc<Signal>>, now: Instant) {
        if self.look_again.get().is_some_and(|at| now < at) {
            return;
        }
        self.look_again.set(Some(now + LOOK * u32::try_from(open.len()).unwrap_or(u32::MAX)));
        let idle = |signal: &Rc<Signal>| {
            let since = signal.idle_since()?;
            (now.duration_since(since) >= SHORTEST).then(|| (since, Rc::downgrade(signal)))
        };
        let mut longest: Vec<_> = open.values().filter_map(idle).collect();
        if longest.len() > REMEMBERED {
            longest.select_nth_unstable_by_key(REMEMBERED, |(since, _)| *since);
            longest.truncate(REMEMBERED);
        }
        longest.sort_unstable_by_key(|(since, _)| *since);
        *self.longest.borrow_mut() = longest.into();
    }
}
