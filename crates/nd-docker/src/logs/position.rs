//! How far the output was read, so that reading goes on without a gap and without a line twice.
//!
//! The two outputs have positions of their own: each is in order, but a line of one may bear an earlier time than the
//! line of the other that the engine wrote before it.

use std::time::Duration;

use nd_core::ports::{LogCursor, OutputStream};
use nd_types::Timestamp;

use super::lines::Line;

/// Times that lie this close together have come out of order between the two outputs; what lies further back is a clock
/// that was set.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// How far the output was read.
#[derive(Debug)]
pub(super) struct Position {
    stdout: Mark,
    stderr: Mark,
    /// The time of the line that was passed on last.
    last: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// The time of the last line.
    at: Option<Timestamp>,
    /// How many lines of that very time were read.
    lines: u64,
    /// How many of them are to come once more before there is something new; `None` when all is new.
    replay: Option<u64>,
}

impl Position {
    /// The position that `cursor` means.
    pub(super) fn new(cursor: LogCursor) -> Self {
        let mark = match cursor {
            LogCursor::Start | LogCursor::Tail(_) => Mark::default(),
            LogCursor::After(at) => Mark { at: Some(at), lines: u64::MAX, replay: None },
        };
        Self { stdout: mark, stderr: mark, last: None }
    }

    /// Where to read from: the time to ask the engine for, which it takes to be included.
    pub(super) fn since(&self) -> Option<Timestamp> {
        Some(self.stdout.at?.min(self.stderr.at?))
    }

    /// Whatever was written before `at` is not wanted.
    pub(super) fn not_before(&mut self, at: Timestamp) {
        for mark in [&mut self.stdout, &mut self.stderr] {
            if mark.at.is_none() {
                *mark = Mark { at: Some(at), lines: 0, replay: None };
            }
        }
    }

    /// Reading begins anew at [`Position::since`].
    pub(super) fn replay(&mut self) {
        for mark in [&mut self.stdout, &mut self.stderr] {
            mark.replay = mark.at.is_some().then_some(mark.lines);
        }
    }

    /// Whether a line is new; if so, the time to pass it on with.
    pub(super) fn accept(&mut self, line: &Line) -> Option<Timestamp> {
        let mark = match line.stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        if let (Some(at), Some(replay)) = (mark.at, &mut mark.replay) {
            if line.at < at {
                return None;
            }
            if line.at == at && *replay > 0 {
                *replay -= 1;
                return None;
            }
            mark.replay = None;
        }
        mark.lines = if mark.at == Some(line.at) { mark.lines.saturating_add(1) } else { 1 };
        mark.at = Some(line.at);
        // A reader keeps one time for both outputs, so the times it sees do not go back.
        let time = match self.last {
            Some(last) if line.at < last && last.duration_since(line.at).unsigned_abs() < OUT_OF_ORDER => {
                last
            }
            _ => line.at,
        };
        self.last = Some(time);
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use OutputStream::{Stderr, Stdout};

    use super::*;

    fn time(nanos: i64) -> Timestamp {
        Timestamp::from_nanosecond(1_795_237_090_000_000_000 + i128::from(nanos)).unwrap()
    }

    fn line(stream: OutputStream, nanos: i64) -> Line {
        Line { stream, at: time(nanos), text: Vec::new() }
    }

    #[test]
    fn after_a_break_every_line_comes_once() {
        let mut position = Position::new(LogCursor::Start);
        let written = [line(Stderr, 5), line(Stdout, 3), line(Stdout, 3), line(Stdout, 3), line(Stderr, 9)];
        assert_eq!(position.since(), None);
        for line in written.iter().take(3) {
            assert!(position.accept(line).is_some());
        }
        assert_eq!(position.since(), Some(time(3)));
        position.replay();
        let again: Vec<bool> = written.iter().map(|line| position.accept(line).is_some()).collect();
        assert_eq!(again, [false, false, false, true, true]);
    }

    #[test]
    fn nothing_of_the_cursors_own_time_comes_again() {
        let mut position = Position::new(LogCursor::After(time(5)));
        position.replay();
        let new: Vec<bool> = [4, 5, 5, 6].map(|nanos| position.accept(&line(Stdout, nanos)).is_some()).into();
        assert_eq!(new, [false, false, false, true]);
    }

    #[test]
    fn times_that_are_passed_on_do_not_go_back() {
        let mut position = Position::new(LogCursor::Start);
        assert_eq!(position.accept(&line(Stderr, 5)), Some(time(5)));
        assert_eq!(position.accept(&line(Stdout, 3)), Some(time(5)));
        assert_eq!(position.accept(&line(Stdout, 7)), Some(time(7)));
    }

    #[test]
    fn a_clock_that_is_set_back_loses_no_line() {
        let hour = 3_600_000_000_000;
        let mut position = Position::new(LogCursor::Start);
        assert_eq!(position.accept(&line(Stdout, hour)), Some(time(hour)));
        assert_eq!(position.accept(&line(Stdout, 1)), Some(time(1)));
    }

    #[test]
    fn a_tail_that_found_nothing_does_not_begin_at_the_start_after_a_break() {
        let mut position = Position::new(LogCursor::Tail(0));
        position.not_before(time(5));
        position.replay();
        assert_eq!(position.since(), Some(time(5)));
        assert!(position.accept(&line(Stdout, 4)).is_none());
        assert!(position.accept(&line(Stdout, 5)).is_some());
    }
}
