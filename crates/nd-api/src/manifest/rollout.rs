//! How one release replaces another.

use std::time::Duration;

use nd_types::{Percent, StrategyName};
use serde::{Deserialize, Serialize};

use super::{duration, is_default};

/// How one release replaces another (`deployment.rollout:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// How many releases are kept for a rollback, the serving one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u16>,
    /// How long requests in flight may take to finish.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub drain: Option<Duration>,
    /// For how long a release that has taken over is on probation; zero is no probation.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub bake: Option<Duration>,
    /// How a release is tried, where the strategy is canary.
    #[serde(default, skip_serializing_if = "is_default")]
    pub canary: Canary,
}

/// How a release is tried with some of the clients (`deployment.rollout.canary:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// How many of a hundred clients get it, step after step; rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<u8>,
    /// How long each step takes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub pause: Option<Duration>,
    /// When it is taken back, beside doing much worse than the release before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub abort_if: AbortIf,
}

/// When a release that is tried is taken back (`deployment.rollout.canary.abort_if:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbortIf {
    /// More of its answers than this are 500 or above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<Percent>,
    /// Its 95th percentile is above this.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub p95: Option<Duration>,
}
