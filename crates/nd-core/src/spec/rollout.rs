//! How carefully a release takes over.

use std::time::Duration;

/// How carefully a release takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutSpec {
    /// For how long after it took over it is on probation; zero is no probation.
    pub bake: Duration,
}

impl Default for RolloutSpec {
    /// 120 s of probation.
    fn default() -> Self {
        Self { bake: Duration::from_secs(120) }
    }
}
