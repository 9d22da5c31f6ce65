//! Sizes and durations as users write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes, written `512M`: the suffixes `K`, `M`, `G`, `T` are powers of 1024, an optional `B` or `iB`
/// after them changes nothing, and no suffix means bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// Why a text is not a size or a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMeasure {
    /// Not a number with a known suffix.
    #[error("`{0}` is not a size; write it as `512M` or `2G`")]
    Size(String),
    /// Not a number with a known unit.
    #[error("`{0}` is not a duration; write it as `500ms`, `30s`, `5m`, `2h` or `1d`")]
    Duration(String),
    /// A bare number, which other tools read as seconds or as milliseconds.
    #[error("duration `{0}` needs a unit; write `{0}s` for seconds")]
    NoUnit(String),
    /// The number does not fit.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{suffix}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl FromStr for ByteSize {
    type Err = InvalidMeasure;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMeasure::Size(s.to_owned());
        let text = s.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let shift = match suffix.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err(invalid()),
        };
        if let Ok(whole) = number.parse::<u64>() {
            let factor = 1u64 << shift;
            return whole.checked_mul(factor).map(Self).ok_or_else(|| InvalidMeasure::TooLarge(s.to_owned()));
        }
        let fraction: f64 = number.parse().map_err(|_| invalid())?;
        let bytes = fraction * (1u64 << shift) as f64;
        if bytes < u64::MAX as f64 {
            Ok(Self(bytes as u64))
        } else {
            Err(InvalidMeasure::TooLarge(s.to_owned()))
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = InvalidMeasure;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// Reads a duration such as `500ms`, `30s`, `1h30m` or `2d`; a number without a unit is refused, except `0`.
///
/// # Errors
/// [`InvalidMeasure`] says what is wrong and how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidMeasure> {
    let invalid = || InvalidMeasure::Duration(text.to_owned());
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds: f64 = number.parse().map_err(|_| invalid())?;
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            "" if total.is_zero() && tail.is_empty() => {
                return Err(InvalidMeasure::NoUnit(text.trim().to_owned()));
            }
            _ => return Err(invalid()),
        };
        let part = Duration::try_from_secs_f64(seconds * factor)
            .map_err(|_| InvalidMeasure::TooLarge(text.to_owned()))?;
        total = total.checked_add(part).ok_or_else(|| InvalidMeasure::TooLarge(text.to_owned()))?;
        rest = tail.trim_start();
    }
    Ok(total)
}

/// Writes a duration for people, with at most two units: `850ms`, `2.3s`, `1h42m`, `3d4h`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => {
            let tenths = duration.subsec_millis() / 100;
            if tenths == 0 { format!("{seconds}s") } else { format!("{seconds}.{tenths}s") }
        }
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!("512M".parse(), Ok(ByteSize(512 << 20)));
        assert_eq!("1.5G".parse(), Ok(ByteSize(3 << 29)));
        assert_eq!("64KiB".parse(), Ok(ByteSize(64 << 10)));
        assert_eq!("100".parse(), Ok(ByteSize(100)));
        assert!("12X".parse::<ByteSize>().is_err());
        assert!("".parse::<ByteSize>().is_err());
        assert!("99999999999T".parse::<ByteSize>().is_err());
    }

    #[test]
    fn a_size_reads_back_as_it_is_written() {
        for size in [0, 1, 1023, 1 << 10, 3 << 20, (5 << 30) + 1] {
            assert_eq!(ByteSize(size).to_string().parse(), Ok(ByteSize(size)));
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("30"), Err(InvalidMeasure::NoUnit("30".into())));
        for bad in ["", "s", "10x", "-5s", "1e999s", "5s3"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_is_written_with_at_most_two_units() {
        let written =
            [850, 2_300, 65_000, 6_120_000, 273_600_000].map(|ms| format_duration(Duration::from_millis(ms)));
        assert_eq!(written, ["850ms", "2.3s", "1m5s", "1h42m", "3d4h"]);
    }
}
