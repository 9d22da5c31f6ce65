//! Times in the user's own time zone.

use std::time::Duration;

use jiff::tz::TimeZone;
use nd_types::Timestamp;

/// `15:04:05`.
pub(crate) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// `15:04:05.120`.
pub(crate) fn clock_millis(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S.%3f").to_string()
}

/// `2026-11-21`.
pub(crate) fn date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string()
}

/// `2026-11-21 15:04:05`.
pub(crate) fn date_clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago, in one or two units.
pub(crate) fn ago(at: Timestamp) -> String {
    let age = Timestamp::now().duration_since(at);
    let age = if age.is_negative() { Duration::ZERO } else { age.unsigned_abs() };
    whole(age)
}

/// `3d4h`, of milliseconds.
pub(crate) fn uptime(ms: u64) -> String {
    whole(Duration::from_millis(ms))
}

fn whole(span: Duration) -> String {
    match span.as_secs() {
        0 => "0s".to_owned(),
        seconds => nd_types::format_duration(Duration::from_secs(seconds)),
    }
}

/// `31.1s`, for how long a step took.
pub(crate) fn took(ms: u64) -> String {
    if ms < 100 {
        format!("{ms}ms")
    } else if ms < 60_000 {
        #[allow(clippy::cast_precision_loss, reason = "less than a minute")]
        let seconds = ms as f64 / 1000.0;
        format!("{seconds:.1}s")
    } else {
        nd_types::format_duration(Duration::from_millis(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_no_more_digits_than_anybody_reads() {
        assert_eq!([7, 430, 31_120, 65_000].map(took), ["7ms", "0.4s", "31.1s", "1m5s"]);
        assert_eq!([7, 1_430, 273_600_000].map(uptime), ["0s", "1s", "3d4h"]);
    }
}
