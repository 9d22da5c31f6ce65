//! What the user has put in front of an app.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether requests come through to an app. It is part of what is wanted of the app, and outlives the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Gate {
    /// They do.
    #[default]
    Open,
    /// They wait, unread, as long and as many as the app's hold limits say.
    Paused {
        /// When the pause ends by itself, at most [`Gate::LONGEST_PAUSE`] away.
        until: Timestamp,
    },
    /// They get a page that says when to ask again, whether the app runs or not.
    Maintenance {
        /// What `Retry-After` says, in seconds.
        retry_after_s: u32,
    },
}

impl Gate {
    /// A pause ends after this time, whoever has forgotten it.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);
    /// What `Retry-After` says of a maintenance of unknown length, in seconds.
    pub const RETRY_AFTER_S: u32 = 300;

    /// Whether requests come through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// How long requests still wait at `now`; nothing where they do not.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let Self::Paused { until } = self else { return None };
        let left = Duration::try_from(until.duration_since(now)).ok()?;
        Some(left.min(Self::LONGEST_PAUSE)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_even_when_the_clock_was_wrong() {
        let now = Timestamp::UNIX_EPOCH;
        let paused =
            |after: u64| Gate::Paused { until: now.checked_add(Duration::from_secs(after)).unwrap() };
        assert_eq!(paused(30).wait(now), Some(Duration::from_secs(30)));
        assert_eq!(paused(86_400).wait(now), Some(Gate::LONGEST_PAUSE));
        assert_eq!(paused(0).wait(now), None);
        assert_eq!(Gate::Maintenance { retry_after_s: 1 }.wait(now), None);
    }
}
