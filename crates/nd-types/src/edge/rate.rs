//! How often clients may ask.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PathPrefix;

/// How often the paths under one prefix may be asked for: a token bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// The paths it is about.
    pub path: PathPrefix,
    /// Who has a bucket.
    pub per: LimitedBy,
    /// How fast a bucket is filled.
    pub rate: Rate,
    /// How many requests may come at once: the size of a bucket.
    pub burst: NonZeroU32,
    /// The status of the answer beyond the limit.
    pub status: u16,
}

/// Who has a bucket of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// Each client address; with IPv6 each network of 64 bits, since a client has all of it.
    #[default]
    Ip,
    /// The app: all clients share one.
    App,
}

/// A number of requests in a time, written `10/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// How many.
    pub requests: NonZeroU32,
    /// In which time.
    pub unit: RateUnit,
}

/// The time of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// Why a text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write it as `10/s`, `100/m`, `1000/h` or `5000/d`")]
pub struct InvalidRate(pub String);

impl RateUnit {
    const ALL: [(Self, &'static str, u64); 4] =
        [(Self::Second, "s", 1), (Self::Minute, "m", 60), (Self::Hour, "h", 3600), (Self::Day, "d", 86_400)];

    /// How long it is.
    #[must_use]
    pub fn duration(self) -> Duration {
        let found = Self::ALL.iter().find(|(unit, ..)| *unit == self);
        Duration::from_secs(found.map_or(1, |(_, _, seconds)| *seconds))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            RateUnit::ALL.iter().find(|(unit, ..)| *unit == self.unit).map_or("s", |(_, text, _)| text);
        write!(f, "{}/{unit}", self.requests)
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (requests, unit) = s.trim().split_once('/')?;
            let (unit, ..) = RateUnit::ALL.iter().find(|(_, text, _)| *text == unit.trim())?;
            Some(Self { requests: requests.trim().parse().ok()?, unit: *unit })
        };
        // More than a thousand a millisecond is a mistake of typing.
        read().filter(|rate| rate.requests.get() <= 1_000_000).ok_or_else(|| InvalidRate(s.to_owned()))
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_as_it_is_written() {
        for text in ["10/m", "1/s", "1000000/h", "5/d"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        for bad in ["10", "0/s", "10/y", "/m", "-1/s", "1.5/s", "1000001/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
