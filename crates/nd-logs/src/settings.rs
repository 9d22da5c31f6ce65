//! What the operator may choose.

use std::time::Duration;

use nd_types::{ByteSize, parse_duration};
use serde::{Deserialize, Deserializer, de};

/// How long and how much is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long lines are kept, written as `14d`.
    #[serde(deserialize_with = "duration")]
    pub retention: Duration,
    /// How much disk the lines of one app may take.
    pub max_app_size: ByteSize,
    /// How much disk all lines together may take, so that logs never fill a host however many apps it has.
    pub max_total_size: ByteSize,
    /// How long a segment grows before it is compressed.
    pub segment_size: ByteSize,
}

impl Default for Settings {
    /// Two weeks, 512 MiB an app, 4 GiB in all, segments of 8 MiB (about 40,000 lines).
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(14 * 24 * 60 * 60),
            max_app_size: ByteSize(512 << 20),
            max_total_size: ByteSize(4 << 30),
            segment_size: ByteSize(8 << 20),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_with_units_and_unknown_ones_are_refused() {
        let settings: Settings =
            serde_json::from_str(r#"{"retention": "2d", "max_app_size": "1G"}"#).unwrap();
        assert_eq!(settings.retention, Duration::from_secs(172_800));
        assert_eq!(settings.max_app_size, ByteSize(1 << 30));
        assert_eq!(settings.segment_size, Settings::default().segment_size);
        assert!(serde_json::from_str::<Settings>(r#"{"retentoin": "2d"}"#).is_err());
    }
}
