//! Shares of a whole as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A share of a whole, written `5%` or `0.5%`, the sign may be left out; kept in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u16);

/// Why a text is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share of 0 to 100; write it as `5%` or `0.5%`")]
pub struct InvalidPercent(String);

impl Percent {
    /// So many whole percent; `None` above 100.
    #[must_use]
    pub fn whole(percent: u8) -> Option<Self> {
        (percent <= 100).then(|| Self(u16::from(percent) * 100))
    }

    /// The share in whole percent, where it is that.
    #[must_use]
    pub fn as_whole(self) -> Option<u8> {
        u8::try_from(self.0 / 100).ok().filter(|_| self.0.is_multiple_of(100))
    }

    /// Whether `part` is a greater share of `all` than this.
    #[must_use]
    pub fn is_exceeded(self, part: u64, all: u64) -> bool {
        u128::from(part) * 10_000 > u128::from(all) * u128::from(self.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths, hundredths % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", hundredths / 10),
            _ => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPercent(s.to_owned());
        let text = s.trim();
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, most| {
            let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| fits)
        };
        let whole = digits(whole, 3).ok_or_else(invalid)?;
        let tenth = if fraction.len() == 1 { 10 } else { 1 };
        let hundredths = digits(fraction, 2).ok_or_else(invalid)? * tenth;
        let share = u16::try_from(whole * 100 + hundredths).ok();
        share.filter(|share| *share <= 10_000).map(Self).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Percent {
    type Error = InvalidPercent;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<Percent> for String {
    fn from(share: Percent) -> Self {
        share.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_reads_back_as_it_is_written() {
        for (text, shown) in
            [("5%", "5%"), ("5", "5%"), ("0.5%", "0.5%"), ("2.25 %", "2.25%"), ("100%", "100%")]
        {
            let share: Percent = text.parse().unwrap();
            assert_eq!((share.to_string().as_str(), share.to_string().parse()), (shown, Ok(share)), "{text}");
        }
        for bad in ["", "%", "-1%", "101%", "100.01%", "1.234%", "1e1%", "5%%", "a", ".5%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn it_is_exceeded_by_more_and_not_by_as_much() {
        let share: Percent = "2%".parse().unwrap();
        assert!(share.is_exceeded(3, 100) && !share.is_exceeded(2, 100) && !share.is_exceeded(0, 0));
        assert_eq!((share.as_whole(), "0.5%".parse::<Percent>().unwrap().as_whole()), (Some(2), None));
    }
}
