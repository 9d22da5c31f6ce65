//! A further instance that stands by.

use std::time::Duration;

/// A further instance that is kept ready and gets no requests until one of the others fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorSpec {
    /// How long one that has failed stays stopped, while the mirror serves, before it is tried again.
    pub cooldown: Duration,
}

impl Default for MirrorSpec {
    /// 30 s.
    fn default() -> Self {
        Self { cooldown: Duration::from_secs(30) }
    }
}
