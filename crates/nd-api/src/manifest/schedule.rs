//! Moments that come again and again, in the notation of cron.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use serde::{Deserialize, Serialize};

/// A schedule in the five fields of cron (POSIX crontab), with an optional sixth one for seconds in front, in the time
/// zone of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronSchedule(String);

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no schedule ({reason}); write minute, hour, day, month and weekday, as in `0 3 * * *`")]
pub struct InvalidCron {
    text: String,
    reason: String,
}

impl CronSchedule {
    /// The schedule as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CronSchedule {
    type Err = InvalidCron;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let invalid = |reason: String| InvalidCron { text: text.to_owned(), reason };
        Cron::from_str(text).map_err(|error| invalid(plain(&error.to_string())))?;
        Ok(Self(text.to_owned()))
    }
}

/// A reason within a sentence of ours: `Invalid pattern: Pattern must ….` becomes `pattern must …`.
fn plain(reason: &str) -> String {
    let reason = reason.rsplit_once(": ").map_or(reason, |(_, last)| last).trim_end_matches('.');
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl TryFrom<String> for CronSchedule {
    type Error = InvalidCron;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CronSchedule> for String {
    fn from(schedule: CronSchedule) -> Self {
        schedule.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_back_as_it_was_written() {
        for text in ["0 3 * * *", "*/5 * * * *", "0 9 * * MON-FRI", "@daily"] {
            assert_eq!(text.parse::<CronSchedule>().map(|cron| cron.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_an_example() {
        for bad in ["", "every day", "61 * * * *", "* * *"] {
            let error = bad.parse::<CronSchedule>().unwrap_err().to_string();
            assert!(error.contains("0 3 * * *"), "{error}");
        }
    }
}
