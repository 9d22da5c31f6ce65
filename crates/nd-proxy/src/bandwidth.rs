//! How many bytes an app's bodies may move in a second, over all workers.
//!
//! A body moves a piece, and goes on when that is paid for. The account is one number, the time at which all that was moved
//! so far is paid for (as in [`crate::limiter`]); whoever pays moves it on and sleeps until then, so that all take turns.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::body::Moving;
use crate::net::buffers::Buffers;
use crate::net::deadline::Deadline;
use crate::net::pump::PumpError;
use crate::net::wire::Wire;

/// What was not used for so long can be caught up on.
const BURST: Duration = Duration::from_millis(100);
/// Pieces in a second, as long as they are no larger or smaller than this.
const PIECES: u64 = 50;
const PIECE: std::ops::RangeInclusive<u64> = 1024..=64 * 1024;

/// The bandwidth of one app: so much up, and so much down.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    bytes_per_second: NonZeroU64,
    began: Instant,
    paid_at: [AtomicU64; 2],
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the app.
    Up,
    /// To its client.
    Down,
}

impl Bandwidth {
    pub(crate) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, began: Instant::now(), paid_at: Default::default() }
    }

    /// Whether it is this one.
    pub(crate) fn is_for(&self, bytes_per_second: NonZeroU64) -> bool {
        self.bytes_per_second == bytes_per_second
    }

    /// Pays for bytes that were moved; answers when the next ones may be.
    fn pay(&self, way: Way, bytes: u64, now: Instant) -> Instant {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now = nanos(now.saturating_duration_since(self.began));
        let price = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let price = u64::try_from(price).unwrap_or(u64::MAX);
        let [up, down] = &self.paid_at;
        let account = if way == Way::Up { up } else { down };
        let pay = |paid_at: u64| Some(paid_at.max(now).saturating_add(price));
        let before = account.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).unwrap_or(now);
        let paid_at = before.max(now).saturating_add(price);
        self.began + Duration::from_nanos(paid_at.saturating_sub(nanos(BURST)))
    }

    fn piece(&self) -> u64 {
        (self.bytes_per_second.get() / PIECES).clamp(*PIECE.start(), *PIECE.end())
    }
}

/// How fast the two bodies of one request go.
#[derive(Debug)]
pub(crate) struct Paces {
    pub(crate) up: Pace,
    pub(crate) down: Pace,
}

impl Paces {
    pub(crate) fn new(bandwidth: &Arc<Bandwidth>) -> Self {
        Self { up: Pace::new(bandwidth, Way::Up), down: Pace::new(bandwidth, Way::Down) }
    }

    /// When one of them may go on, while it waits for that.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.up.until.max(self.down.until)
    }
}

/// One body's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    bandwidth: Arc<Bandwidth>,
    way: Way,
    /// Content that was seen, and of that, what was paid for.
    seen: u64,
    paid: u64,
    /// Up to where it may go.
    stop: u64,
    until: Option<Instant>,
    timer: Deadline,
}

impl Pace {
    fn new(bandwidth: &Arc<Bandwidth>, way: Way) -> Self {
        let (bandwidth, timer) = (Arc::clone(bandwidth), Deadline::default());
        Self { bandwidth, way, seen: 0, paid: 0, stop: 0, until: None, timer }
    }

    /// Moves a body on, no faster than its app may.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl Moving,
        legs: (&mut Wire, &mut Wire),
        spare: &Buffers,
    ) -> Poll<Result<(), PumpError>> {
        let (source, sink) = legs;
        loop {
            let may_go = self.poll_turn(cx).is_ready();
            body.stop_at(self.stop);
            let moved = body.poll(cx, source, sink, spare);
            self.seen = body.content();
            if moved.is_ready() || !may_go || !body.is_stopped() {
                return moved;
            }
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.seen >= self.stop && self.until.is_none() {
            self.until = Some(self.bandwidth.pay(self.way, self.seen - self.paid, Instant::now()));
            self.paid = self.seen;
        }
        let Some(until) = self.until else { return Poll::Ready(()) };
        if until > Instant::now() {
            std::task::ready!(self.timer.poll_due(cx, until));
        }
        self.until = None;
        self.stop = self.seen + self.bandwidth.piece();
        Poll::Ready(())
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if self.seen > self.paid {
            self.bandwidth.pay(self.way, self.seen - self.paid, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_moved_is_paid_for_by_all_together_and_each_way_by_itself() {
        let bandwidth = Bandwidth::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        let after = |way, bytes| bandwidth.pay(way, bytes, Instant::now()).saturating_duration_since(start);
        assert_eq!(after(Way::Down, 100), Duration::ZERO, "the burst");
        assert_eq!(after(Way::Down, 500), Duration::from_millis(500));
        assert_eq!(after(Way::Down, 500), Duration::from_secs(1));
        assert_eq!(after(Way::Up, 600), Duration::from_millis(500));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(after(Way::Down, 1100), Duration::from_secs(61), "no more than the burst is saved up");
    }
}
