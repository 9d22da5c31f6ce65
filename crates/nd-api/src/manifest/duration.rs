//! Durations on the wire: text with a unit, exact to the millisecond.

use std::time::Duration;

/// Writes a duration so that it reads back as the same one: `90s`, `2m`, `1500ms`. Parts below a millisecond are lost.
#[must_use]
pub fn format_exact(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if !ms.is_multiple_of(1000) => format!("{ms}ms"),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ => format!("{}s", ms / 1000),
    }
}

/// `#[serde(with = "duration::option")]` for an `Option<Duration>`.
pub(crate) mod option {
    use std::time::Duration;

    use nd_types::parse_duration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` asks for")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_str(&super::format_exact(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_duration(&text)).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use nd_types::parse_duration;

    use super::*;

    #[test]
    fn a_written_duration_reads_back_as_the_same_one() {
        for ms in [0, 1, 999, 1000, 1500, 30_000, 90_000, 120_000, 3_600_000, 5_400_000, 86_400_001] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_exact(duration)), Ok(duration), "{ms}");
        }
    }
}
