//! Owns every long-lived task of the daemon: tasks end where somebody sees it, panics are counted, workers are
//! restarted with backoff, and shutdown has an order and a deadline.
//!
//! - [`Supervisor`]: named workers that are restarted, watched for heartbeats and stopped in reverse order.
//! - [`TaskSet`], [`LocalTaskSet`]: many short tasks with one owner (connections, actions, subscriptions).
//! - [`blocking`], [`thread`]: the same care for code that blocks.
//! - [`Clock`]: the only source of time, so that tests can drive it.
//! - [`Backoff`]: growing, jittered pauses.
//!
//! Must never know: apps, containers, HTTP, or anything else the daemon does with its tasks.

#![allow(
    clippy::disallowed_methods,
    reason = "this crate is the one place that spawns; everything else goes through it"
)]

mod backoff;
mod blocking;
mod clock;
mod supervisor;
mod task;
mod thread;
mod worker;

pub use backoff::{Backoff, jitter};
pub use blocking::blocking;
pub use clock::{Clock, Mono, SystemClock};
pub use supervisor::{ShutdownReport, Supervisor, SupervisorError};
pub use task::{LocalTaskSet, TaskEnd, TaskFailure, TaskHandle, TaskSet};
pub use thread::{ThreadHandle, thread, thread_restarting};
pub use tokio_util::sync::CancellationToken;
pub use worker::{
    FailureKind, FailureView, RestartWhen, WorkerContext, WorkerError, WorkerExit, WorkerSpec, WorkerState,
    WorkerView,
};
