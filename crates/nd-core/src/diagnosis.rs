//! Why something failed, in words that help.

use nd_types::ExitStatus;
use serde::{Deserialize, Serialize};

/// What failed, why, and what to do about it. `why` is only there when it is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What happened, in one line.
    pub what: String,
    /// The cause, when it is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How the unit ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitStatus>,
    /// What the last probe said, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The last lines of the unit's output, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// What to type or change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

impl Diagnosis {
    /// A diagnosis that knows no more than what happened.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, exit: None, probe: None, logs: Vec::new(), fix: Vec::new() }
    }
}
