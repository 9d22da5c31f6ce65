//! [`RolloutSpec`], stored; what is left out is as it is by default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::RolloutSpec;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RolloutV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bake: Option<Duration>,
}

impl RolloutV1 {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&RolloutSpec> for RolloutV1 {
    fn from(spec: &RolloutSpec) -> Self {
        let usual = RolloutSpec::default();
        Self { bake: Some(spec.bake).filter(|bake| *bake != usual.bake) }
    }
}

impl From<&RolloutV1> for RolloutSpec {
    fn from(stored: &RolloutV1) -> Self {
        let usual = Self::default();
        Self { bake: stored.bake.unwrap_or(usual.bake) }
    }
}
