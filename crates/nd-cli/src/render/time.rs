//! Times in the user's own time zone.

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

/// `2026-11-21 15:04:05`.
pub(crate) fn date_clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago, in one or two units.
pub(crate) fn ago(at: Timestamp) -> String {
    let age = Timestamp::now().duration_since(at);
    let age = if age.is_negative() { std::time::Duration::ZERO } else { age.unsigned_abs() };
    nd_types::format_duration(std::time::Duration::from_secs(age.as_secs()))
}

/// `31.1s`, for how long a step took.
pub(crate) fn took(ms: u64) -> String {
    if ms < 60_000 {
        #[allow(clippy::cast_precision_loss, reason = "less than a minute")]
        let seconds = ms as f64 / 1000.0;
        format!("{seconds:.1}s")
    } else {
        nd_types::format_duration(std::time::Duration::from_millis(ms))
    }
}
