//! What a deployment would do.

use nd_types::{AppName, StrategyName};
use serde::{Deserialize, Serialize};

/// The plan of a deployment that has not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The app.
    pub app: AppName,
    /// How the release would replace the one before.
    pub strategy: StrategyName,
    /// Why this strategy, where it was not asked for: `a writable volume forbids two versions at once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether there is nothing to do.
    pub unchanged: bool,
    /// What would change, one line each: `image node:20 → node:22`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// What would be done, in order; steps of one stage run side by side.
    pub steps: Vec<PlanStep>,
    /// Where the app would answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Its stage, from 1.
    pub stage: u32,
    /// What would be done, as in `start shop-8f3k2a-1`.
    pub text: String,
}
