//! How far the output was read, so that reading goes on without a gap and without a line twice.
//!
//! A reader keeps one time for both outputs. The engine's times do not do for that: two lines may bear the same one, and
//! a line of one output may bear an earlier time than the line of the other that was stored before it. So each line is
//! passed on with a time of its own, later than all before it: the engine's, or where that is not later, the last one
//! and a nanosecond. Reading the same lines again gives the same times, if it begins a little earlier.

use std::time::Duration;

use nd_core::ports::LogCursor;
use nd_types::Timestamp;

use super::lines::Line;

/// Lines whose times lie this close together may have come out of order; what lies further back is a clock that was set.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// How far the output was read.
#[derive(Debug)]
pub(super) struct Position {
    /// The time that the last line was passed on with, or that the reader named.
    passed: Option<Timestamp>,
    /// While lines are read again: what is not later was passed on before.
    again: Option<Timestamp>,
    /// The time of the last line that was read.
    last: Option<Timestamp>,
}

impl Position {
    /// The position that `cursor` means.
    pub(super) fn new(cursor: LogCursor) -> Self {
        let passed = match cursor {
            LogCursor::Start | LogCursor::Tail(_) => None,
            LogCursor::After(at) => Some(at),
        };
        Self { passed, again: None, last: None }
    }

    /// Reading begins, or begins again: from when on, if not from the start.
    pub(super) fn begin(&mut self) -> Option<Timestamp> {
        self.again = self.passed;
        self.last = None;
        self.passed.map(|passed| passed.checked_sub(OUT_OF_ORDER).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Whatever was written before `at` is not wanted when reading begins again.
    pub(super) fn not_before(&mut self, at: Timestamp) {
        self.passed = self.passed.or(Some(at));
    }

    /// Whether a line is new; if so, the time to pass it on with.
    pub(super) fn accept(&mut self, line: &Line) -> Option<Timestamp> {
        let at = match self.last {
            Some(last) if line.at <= last && (line.joined || is_close(line.at, last)) => after(last),
            _ => line.at,
        };
        self.last = Some(at);
        if self.again.is_some_and(|again| at <= again) {
            return None;
        }
        self.again = None;
        self.passed = Some(at);
        Some(at)
    }
}

fn is_close(earlier: Timestamp, later: Timestamp) -> bool {
    later.duration_since(earlier).unsigned_abs() < OUT_OF_ORDER
}

fn after(time: Timestamp) -> Timestamp {
    time.checked_add(Duration::from_nanos(1)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use nd_core::ports::OutputStream::{Stderr, Stdout};
    use proptest::prelude::*;

    use super::*;

    fn time(nanos: i64) -> Timestamp {
        Timestamp::from_nanosecond(1_795_237_090_000_000_000 + i128::from(nanos)).unwrap()
    }

    fn line(nanos: i64) -> Line {
        let stream = if nanos % 2 == 0 { Stdout } else { Stderr };
        Line { stream, at: time(nanos), text: Vec::new(), joined: false }
    }

    fn read(position: &mut Position, lines: &[i64]) -> Vec<Option<Timestamp>> {
        lines.iter().map(|nanos| position.accept(&line(*nanos))).collect()
    }

    #[test]
    fn every_line_has_a_time_of_its_own_and_times_only_grow() {
        let mut position = Position::new(LogCursor::Start);
        let times = read(&mut position, &[50, 30, 30, 51, 90]);
        assert_eq!(times, [50, 51, 52, 53, 90].map(|nanos| Some(time(nanos))));
    }

    #[test]
    fn a_line_that_was_stored_after_the_cursors_line_comes_though_its_time_is_earlier() {
        let mut position = Position::new(LogCursor::After(time(50)));
        assert_eq!(position.begin(), Some(time(50 - 1_000_000_000)));
        assert_eq!(read(&mut position, &[10, 50, 30, 90]), [None, None, Some(time(51)), Some(time(90))]);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_line() {
        let hour = 3_600_000_000_000;
        let mut position = Position::new(LogCursor::Start);
        assert_eq!(read(&mut position, &[hour, 1]), [Some(time(hour)), Some(time(1))]);
    }

    #[test]
    fn a_long_line_that_was_begun_much_earlier_is_no_clock_that_was_set() {
        let mut position = Position::new(LogCursor::Start);
        let minute = 60_000_000_000;
        position.accept(&line(minute));
        assert_eq!(position.accept(&Line { joined: true, ..line(1) }), Some(time(minute + 1)));
    }

    #[test]
    fn a_tail_that_found_nothing_does_not_begin_at_the_start_after_a_break() {
        let mut position = Position::new(LogCursor::Tail(0));
        assert_eq!(position.begin(), None);
        position.not_before(time(5));
        assert!(position.begin().is_some());
        assert_eq!(read(&mut position, &[4, 9]), [None, Some(time(9))]);
    }

    proptest! {
        #[test]
        fn wherever_reading_breaks_off_every_line_comes_once(
            steps in prop::collection::vec(-3i64..1_000_000, 1..60),
            cuts in prop::collection::vec(0usize..60, 1..4),
        ) {
            let mut now = 2_000_000_000;
            let stored: Vec<i64> = steps.iter().map(|step| { now += step; now }).collect();
            let mut whole = Position::new(LogCursor::Start);
            whole.begin();
            let expected: Vec<_> = read(&mut whole, &stored).into_iter().flatten().collect();
            let mut position = Position::new(LogCursor::Start);
            let mut got = Vec::new();
            for cut in cuts.into_iter().chain([stored.len()]) {
                let since = position.begin();
                let from_engine = stored.iter().filter(|nanos| since.is_none_or(|since| time(**nanos) >= since));
                let lines: Vec<i64> = from_engine.copied().take(cut).collect();
                got.extend(read(&mut position, &lines).into_iter().flatten());
                // The next reader knows nothing but the last time.
                position = got.last().map_or(position, |at| Position::new(LogCursor::After(*at)));
            }
            prop_assert_eq!(got, expected);
        }
    }
}
