//! [`RolloutSpec`], stored; what is left out is as it is by default.

use std::time::Duration;

use nd_types::Percent;
use serde::{Deserialize, Serialize};

use crate::spec::{AbortRules, CanarySpec, RolloutSpec};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RolloutV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bake: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CanaryV1 {
    steps: Vec<u8>,
    pause: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_rate: Option<Percent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p95: Option<Duration>,
}

impl RolloutV1 {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&RolloutSpec> for RolloutV1 {
    fn from(spec: &RolloutSpec) -> Self {
        let usual = RolloutSpec::default();
        Self {
            bake: Some(spec.bake).filter(|bake| *bake != usual.bake),
            canary: Some(&spec.canary).filter(|canary| **canary != usual.canary).map(CanaryV1::from),
        }
    }
}

impl From<&RolloutV1> for RolloutSpec {
    fn from(stored: &RolloutV1) -> Self {
        let usual = Self::default();
        Self {
            bake: stored.bake.unwrap_or(usual.bake),
            canary: stored.canary.as_ref().map_or(usual.canary, CanarySpec::from),
        }
    }
}

impl From<&CanarySpec> for CanaryV1 {
    fn from(spec: &CanarySpec) -> Self {
        let AbortRules { error_rate, p95 } = spec.abort_if;
        Self { steps: spec.steps.clone(), pause: spec.pause, error_rate, p95 }
    }
}

impl From<&CanaryV1> for CanarySpec {
    fn from(stored: &CanaryV1) -> Self {
        let CanaryV1 { steps, pause, error_rate, p95 } = stored.clone();
        Self { steps, pause, abort_if: AbortRules { error_rate, p95 } }
    }
}
