//! A task's future as a set runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::TaskFailure;
use super::registry::Membership;

pin_project! {
    /// `future` with its place in a set. Polled in place instead of being moved into an async block, which would keep
    /// room for it twice.
    pub(super) struct Tracked<F> {
        #[pin]
        future: F,
        // Last: whoever sees the set empty also finds the future's resources released.
        membership: Membership,
    }
}

impl<F> Tracked<F> {
    pub(super) const fn new(future: F, membership: Membership) -> Self {
        Self { future, membership }
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = Result<F::Output, TaskFailure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Unwind safe: after a panic the future is only dropped.
        match catch_unwind(AssertUnwindSafe(|| this.future.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(this.membership.panicked(&*payload))),
        }
    }
}
