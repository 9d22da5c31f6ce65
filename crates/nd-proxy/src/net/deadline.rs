//! One timer for a connection, moved only when it fires or must fire earlier.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer whose deadline moves with each step of an exchange, nearly always into the future: then the timer itself is
/// left where it is and moved when it fires.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Ready once `due` has passed; otherwise the task is woken then or earlier.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_last_deadline_counts_whether_earlier_or_later() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (first, second) in [(10, 60), (200, 100)] {
            poll_fn(|cx| {
                assert!(deadline.poll_due(cx, at(first)).is_pending());
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| deadline.poll_due(cx, at(second))).await;
            assert_eq!(start.elapsed().as_secs(), second);
        }
    }
}
