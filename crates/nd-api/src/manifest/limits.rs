//! Numbers with a unit or a meaning of their own.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not one of these numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// Not a share of processor time.
    #[error("`{0}` is not a share of processor time; write it as `80%`, or `150%` for one and a half cores")]
    Cpu(String),
    /// Not a factor.
    #[error("`{0}` is not a factor; write it as `2x`, from `1x` to `10x`")]
    Factor(String),
    /// Not a number of instances.
    #[error("instances must be 1–1000 or `max`, found {0}")]
    Instances(String),
    /// Not a limit of restarts.
    #[error("the limit of restarts must be -1 (none) or a number, found {0}")]
    Restarts(String),
}

/// Processor time as a share of one core, written `80%`; more than 100 % is more than one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuQuota(NonZeroU32);

impl CpuQuota {
    /// The most that can be asked for: 1024 cores.
    pub const MAX_PERCENT: u32 = 102_400;

    /// The share in percent of one core, at least 1.
    #[must_use]
    pub fn percent(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for CpuQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for CpuQuota {
    type Err = InvalidLimit;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let percent = s.trim().strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
        percent
            .filter(|percent: &NonZeroU32| percent.get() <= Self::MAX_PERCENT)
            .map(Self)
            .ok_or_else(|| InvalidLimit::Cpu(s.to_owned()))
    }
}

/// What a wait is multiplied by each time, written `2x`; kept in hundredths, from 1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackoffFactor {
    hundredths: u32,
}

impl BackoffFactor {
    /// The factor in hundredths: 150 for `1.5x`.
    #[must_use]
    pub fn hundredths(self) -> u32 {
        self.hundredths
    }
}

impl fmt::Display for BackoffFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", f64::from(self.hundredths) / 100.0)
    }
}

impl FromStr for BackoffFactor {
    type Err = InvalidLimit;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let number = s.trim().strip_suffix('x').and_then(|number| number.parse::<f64>().ok());
        let factor = number.filter(|number| (1.0..=10.0).contains(number));
        factor
            .map(|factor| Self { hundredths: (factor * 100.0).round() as u32 })
            .ok_or_else(|| InvalidLimit::Factor(s.to_owned()))
    }
}

/// How many instances run: a number, or one for each processor core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "NumberOrText")]
pub enum Instances {
    /// This many, at most [`Instances::LIMIT`].
    Count(NonZeroU16),
    /// As many as the host has cores.
    Max,
}

impl Instances {
    /// More than this on one host is a mistake of typing.
    pub const LIMIT: u16 = 1000;

    /// This many instances.
    #[must_use]
    pub fn count(count: u16) -> Option<Self> {
        NonZeroU16::new(count).filter(|count| count.get() <= Self::LIMIT).map(Self::Count)
    }
}

impl fmt::Display for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

impl FromStr for Instances {
    type Err = InvalidLimit;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s == "max" {
            return Ok(Self::Max);
        }
        s.parse().ok().and_then(Self::count).ok_or_else(|| InvalidLimit::Instances(s.to_owned()))
    }
}

impl TryFrom<NumberOrText> for Instances {
    type Error = InvalidLimit;
    fn try_from(value: NumberOrText) -> Result<Self, Self::Error> {
        match value {
            NumberOrText::Number(number) => number.to_string().parse(),
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

impl From<Instances> for NumberOrText {
    fn from(instances: Instances) -> Self {
        match instances {
            Instances::Count(count) => Self::Number(count.get().into()),
            Instances::Max => Self::Text("max".to_owned()),
        }
    }
}

/// How often an app is restarted at all; written as a number, with -1 and 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct RestartMax(Option<NonZeroU32>);

impl RestartMax {
    /// No limit.
    pub const UNLIMITED: Self = Self(None);

    /// The limit, or nothing where there is none.
    #[must_use]
    pub fn limit(self) -> Option<NonZeroU32> {
        self.0
    }
}

impl TryFrom<i64> for RestartMax {
    type Error = InvalidLimit;
    fn try_from(number: i64) -> Result<Self, Self::Error> {
        match number {
            -1 => Ok(Self::UNLIMITED),
            _ => u32::try_from(number)
                .map(|limit| Self(NonZeroU32::new(limit)))
                .map_err(|_| InvalidLimit::Restarts(number.to_string())),
        }
    }
}

impl From<RestartMax> for i64 {
    fn from(max: RestartMax) -> Self {
        max.0.map_or(-1, |limit| limit.get().into())
    }
}

impl FromStr for RestartMax {
    type Err = InvalidLimit;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse::<i64>().map_err(|_| InvalidLimit::Restarts(s.to_owned()))?.try_into()
    }
}

/// A value that is written as a number or as a word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(i64),
    Text(String),
}

macro_rules! by_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidLimit;
            fn try_from(s: String) -> Result<Self, Self::Error> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

by_text!(CpuQuota, BackoffFactor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["80%", "1%", "102400%"] {
            assert_eq!(text.parse::<CpuQuota>().map(|q| q.to_string()), Ok(text.to_owned()));
        }
        for text in ["2x", "1.5x", "1x", "10x", "1.05x"] {
            assert_eq!(text.parse::<BackoffFactor>().map(|b| b.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["80", "0%", "-1%", "102401%", "%"] {
            assert!(bad.parse::<CpuQuota>().is_err(), "{bad}");
        }
        for bad in ["2", "0.5x", "11x", "nanx", "x"] {
            assert!(bad.parse::<BackoffFactor>().is_err(), "{bad}");
        }
        for bad in ["0", "1001", "-1", "many"] {
            assert!(bad.parse::<Instances>().is_err(), "{bad}");
        }
    }

    #[test]
    fn minus_one_and_zero_mean_no_limit_of_restarts() {
        assert_eq!(RestartMax::try_from(-1), Ok(RestartMax::UNLIMITED));
        assert_eq!(RestartMax::try_from(0), Ok(RestartMax::UNLIMITED));
        assert_eq!(RestartMax::try_from(5).map(i64::from), Ok(5));
        assert!(RestartMax::try_from(-2).is_err());
    }
}
