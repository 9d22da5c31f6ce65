//! What the daemon's configuration may say about plain processes.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// Settings of the process runtime: the table `[process]` of `nextdeployd.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The first port that is leased to units. Default 20000.
    pub first_port: NonZeroU16,
    /// The last port that is leased to units. Default 29999: below the range that Linux takes for outgoing connections
    /// (32768 and up), so that no connection holds a leased port.
    pub last_port: NonZeroU16,
    /// Bytes of output kept for each unit until the log store has read them. Default 16 MiB.
    pub output_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const FIRST: NonZeroU16 = NonZeroU16::new(20_000).unwrap();
        const LAST: NonZeroU16 = NonZeroU16::new(29_999).unwrap();
        Self { first_port: FIRST, last_port: LAST, output_bytes: 16 << 20 }
    }
}
