//! What one unit may use at most.

use nd_core::spec::Resources;
use serde::{Deserialize, Serialize};

/// Limits of one unit, as they stand in its record and go to its shim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Memory of all of its processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// CPU in thousandths of one core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_millis: Option<u32>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pids: Option<u32>,
}

impl Limits {
    /// Whether there are none.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Resources> for Limits {
    fn from(resources: &Resources) -> Self {
        Self {
            memory_bytes: resources.memory.map(|memory| memory.0),
            cpu_millis: resources.cpu_millis.map(std::num::NonZeroU32::get),
            pids: resources.pids.map(std::num::NonZeroU32::get),
        }
    }
}
