//! How many requests may be with an app at once.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many requests may be with an app's instances at once, over all of them, and what becomes of further ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// So many.
    pub requests: NonZeroU32,
    /// So many more wait, in the order in which they came; any further one gets 503 at once.
    pub queue: u32,
    /// How long each of them waits; then it gets 503.
    pub wait: Duration,
}

impl Concurrency {
    /// As many as may be held while there is no instance.
    pub const QUEUE: u32 = 1000;
    /// Longer than a visitor likes to wait, shorter than clients in front of them give up.
    pub const WAIT: Duration = Duration::from_secs(10);
}
