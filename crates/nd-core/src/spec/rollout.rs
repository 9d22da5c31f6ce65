//! How carefully a release takes over.

use std::time::Duration;

use nd_types::Percent;

/// How carefully a release takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutSpec {
    /// For how long after it took over it is on probation; zero is no probation.
    pub bake: Duration,
    /// How it is tried, where the strategy is canary.
    pub canary: CanarySpec,
}

/// How a release is tried with some of the clients before it takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanarySpec {
    /// How many of a hundred clients get it, step after step; rising. After the last one it takes over, and 100 is just
    /// that.
    pub steps: Vec<u8>,
    /// For how long it is watched at each step.
    pub pause: Duration,
    /// What is too bad, whatever the release before does.
    pub abort_if: AbortRules,
}

/// When a release that is tried is taken back. Beside these rules it must never do much worse than the release before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AbortRules {
    /// A greater share of its answers than this is 500 or more.
    pub error_rate: Option<Percent>,
    /// Its 95th percentile is above this.
    pub p95: Option<Duration>,
}

impl Default for RolloutSpec {
    /// 120 s of probation.
    fn default() -> Self {
        Self { bake: Duration::from_secs(120), canary: CanarySpec::default() }
    }
}

impl Default for CanarySpec {
    /// 5, 25 and 50 of a hundred clients, a minute each.
    fn default() -> Self {
        Self { steps: vec![5, 25, 50], pause: Duration::from_secs(60), abort_if: AbortRules::default() }
    }
}

impl CanarySpec {
    /// The shares at which both releases serve.
    pub fn shares(&self) -> impl Iterator<Item = u8> {
        self.steps.iter().copied().filter(|percent| *percent < 100)
    }

    /// How many steps that are.
    #[must_use]
    pub fn count(&self) -> u16 {
        u16::try_from(self.shares().count()).unwrap_or(u16::MAX)
    }
}
