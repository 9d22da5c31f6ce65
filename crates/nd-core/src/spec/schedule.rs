//! Moments that come again and again, in the notation of cron.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use jiff::tz::TimeZone;
use nd_types::Timestamp;

/// A schedule in the five fields of cron (POSIX crontab), with an optional sixth one for seconds in front, in the time
/// zone of the host.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no schedule: {reason}; write minute, hour, day of month, month and day of week, as in `0 3 * * *`"
)]
pub struct InvalidSchedule {
    text: String,
    reason: String,
}

impl Schedule {
    /// The first moment after `after`; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.to_zoned(TimeZone::system());
        self.cron.find_next_occurrence(&after, false).ok().map(|next| next.timestamp())
    }

    /// The schedule as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let invalid = |reason: String| InvalidSchedule { text: text.to_owned(), reason };
        let cron = Cron::from_str(text).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { text: text.to_owned(), cron })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_the_first_one_after() {
        let every_minute: Schedule = "* * * * *".parse().unwrap();
        let at: Timestamp = "2027-01-15T08:17:10Z".parse().unwrap();
        assert_eq!(every_minute.next_after(at), Some("2027-01-15T08:18:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_an_example() {
        let refused = "every day".parse::<Schedule>().unwrap_err().to_string();
        assert!(refused.contains("`every day`") && refused.contains("0 3 * * *"), "{refused}");
    }
}
