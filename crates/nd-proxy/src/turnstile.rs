//! How many requests of one app are with its instances at once, over all workers; further ones queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nd_types::Concurrency;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The turnstile before an app.
#[derive(Debug)]
pub(crate) struct Turnstile {
    limit: Concurrency,
    places: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    free: Semaphore,
    /// Who waits for one.
    queue: AtomicU32,
    /// Taken places that are to vanish, since the limit was lowered.
    surplus: AtomicU32,
}

/// One request's place.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Places>);

/// No place, and none in the queue; or none in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl Turnstile {
    pub(crate) fn new(limit: Concurrency) -> Self {
        let (free, queue) = (Semaphore::new(places(limit)), AtomicU32::new(0));
        Self { limit, places: Arc::new(Places { free, queue, surplus: AtomicU32::new(0) }) }
    }

    /// One with another limit. Who is inside stays, and counts.
    pub(crate) fn with(&self, limit: Concurrency) -> Self {
        let Places { free, surplus, .. } = &*self.places;
        let (before, after) = (places(self.limit), places(limit));
        let owed = surplus.swap(0, Ordering::AcqRel) as usize;
        match (before + owed).checked_sub(after) {
            Some(fewer) => {
                let left = fewer - free.forget_permits(fewer);
                surplus.fetch_add(u32::try_from(left).unwrap_or(u32::MAX), Ordering::AcqRel);
            }
            None => free.add_permits(after - before - owed),
        }
        Self { limit, places: Arc::clone(&self.places) }
    }

    /// Whether it is for this limit.
    pub(crate) fn is_for(&self, limit: Concurrency) -> bool {
        self.limit == limit
    }

    /// Takes a place, or waits for one. Cancel safe.
    pub(crate) async fn enter(&self) -> Result<Pass, Busy> {
        if let Ok(permit) = self.places.free.try_acquire() {
            permit.forget();
            return Ok(Pass(Arc::clone(&self.places)));
        }
        let _queued = Queued::enter(&self.places, self.limit.queue).ok_or(Busy)?;
        match timeout(self.limit.wait, self.places.free.acquire()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(Pass(Arc::clone(&self.places)))
            }
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let owes = |surplus: u32| surplus.checked_sub(1);
        if self.0.surplus.fetch_update(Ordering::AcqRel, Ordering::Acquire, owes).is_err() {
            self.0.free.add_permits(1);
        }
    }
}

/// A place in the queue.
struct Queued<'p>(&'p Places);

impl<'p> Queued<'p> {
    fn enter(places: &'p Places, limit: u32) -> Option<Self> {
        let before = places.queue.fetch_add(1, Ordering::Relaxed);
        let queued = Self(places);
        (before < limit).then_some(queued)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queue.fetch_sub(1, Ordering::Relaxed);
    }
}

fn places(limit: Concurrency) -> usize {
    usize::try_from(limit.requests.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limit(requests: u32, queue: u32) -> Concurrency {
        Concurrency { requests: requests.try_into().unwrap(), queue, wait: Duration::from_secs(1) }
    }

    #[tokio::test(start_paused = true)]
    async fn one_waits_until_another_leaves_and_the_next_is_turned_away() {
        let turnstile = Turnstile::new(limit(1, 1));
        let inside = turnstile.enter().await.unwrap();
        let (waiting, refused, ()) =
            tokio::join!(turnstile.enter(), turnstile.enter(), async { drop(inside) });
        assert!(waiting.is_ok());
        assert_eq!(refused.err(), Some(Busy), "the queue is full");
        assert_eq!(turnstile.enter().await.err(), Some(Busy), "not in time");
        drop(waiting);
        assert!(turnstile.enter().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_inside_counts_under_another_limit() {
        let three = Turnstile::new(limit(3, 0));
        let first = three.enter().await.unwrap();
        let second = three.enter().await.unwrap();
        let one = three.with(limit(1, 0));
        drop(first);
        assert!(one.enter().await.is_err(), "one is still inside");
        let two = one.with(limit(2, 0));
        let third = two.enter().await.unwrap();
        assert!(two.enter().await.is_err());
        drop((second, third));
        let all = [two.enter().await, two.enter().await, two.enter().await];
        assert_eq!(all.iter().filter(|pass| pass.is_ok()).count(), 2);
    }
}
