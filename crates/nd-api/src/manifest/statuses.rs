//! Answers of a health check that are good.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// HTTP statuses that count as healthy: `200-299`, `204`, or several of them with commas between, `200, 301-302`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Statuses(Vec<StatusRange>);

/// Statuses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    from: u16,
    to: u16,
}

/// A text that is not a range of HTTP statuses (RFC 9110, section 15).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range of HTTP statuses; write it as `200-299`, `200`, or several: `200, 301-302`")]
pub struct InvalidStatus(String);

impl Statuses {
    /// All of these ranges; nothing where there are none.
    #[must_use]
    pub fn of(ranges: impl IntoIterator<Item = StatusRange>) -> Option<Self> {
        let ranges: Vec<StatusRange> = ranges.into_iter().collect();
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// The ranges, as they were written; at least one.
    #[must_use]
    pub fn ranges(&self) -> &[StatusRange] {
        &self.0
    }
}

impl StatusRange {
    /// The range from `from` to `to`, both included.
    #[must_use]
    pub fn new(from: u16, to: u16) -> Option<Self> {
        (100 <= from && from <= to && to <= 599).then_some(Self { from, to })
    }

    /// The lowest status.
    #[must_use]
    pub fn from(self) -> u16 {
        self.from
    }

    /// The highest status.
    #[must_use]
    pub fn to(self) -> u16 {
        self.to
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{}-{}", self.from, self.to) }
    }
}

impl FromStr for Statuses {
    type Err = InvalidStatus;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for StatusRange {
    type Err = InvalidStatus;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (from, to) = s.split_once('-').unwrap_or((s, s));
        let bounds = from.trim().parse().ok().zip(to.trim().parse().ok());
        bounds.and_then(|(from, to)| Self::new(from, to)).ok_or_else(|| InvalidStatus(s.trim().to_owned()))
    }
}

impl TryFrom<String> for Statuses {
    type Error = InvalidStatus;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<Statuses> for String {
    fn from(statuses: Statuses) -> Self {
        statuses.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["200-299", "204", "200, 301-302, 404"] {
            assert_eq!(text.parse::<Statuses>().map(|statuses| statuses.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("200,204".parse::<Statuses>(), "200, 204".parse());
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for bad in ["", "2xx", "299-200", "99", "600", "200-", "200,", "200;204"] {
            assert!(bad.parse::<Statuses>().is_err(), "{bad}");
        }
    }
}
