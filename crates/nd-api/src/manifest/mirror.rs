//! An instance that stands by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Sticky, duration};

/// A further instance that is kept ready and serves while another one has failed (`mirror:`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// How long one that has failed stays stopped before it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub cooldown: Option<Duration>,
    /// Directories inside the container that all instances share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sync: Vec<String>,
    /// What keeps a client with its instance; as `proxy.sticky`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}
