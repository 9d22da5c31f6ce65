//! Where a follower of several apps' lines stands, so that a stream that broke off goes on without a line twice.

use std::collections::BTreeMap;

use nd_api::v1::LogLine;
use nd_types::{AppName, Timestamp};

/// The last line of every app that was shown.
///
/// One number for all of them would do while the daemon lives, which numbers its lines in one row; one that starts again
/// may number lower than an app did that is destroyed since.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    apps: BTreeMap<AppName, u64>,
    /// When the newest line was written that was shown, by the daemon's clock.
    newest: Option<Timestamp>,
    /// The same, at the last connection: what was there before it of an app that had shown nothing was not asked for.
    floor: Option<Timestamp>,
}

impl Cursors {
    /// A stream begins.
    pub(crate) fn connected(&mut self) {
        self.floor = self.newest;
    }

    /// The number after which every line has to be asked for again: that of the app that is furthest behind.
    pub(crate) fn earliest(&self) -> Option<u64> {
        self.apps.values().min().copied()
    }

    /// Whether a line was not shown before; it has been, then.
    pub(crate) fn admit(&mut self, line: &LogLine) -> bool {
        let is_new = match self.apps.get(&line.app) {
            Some(last) => line.seq > *last,
            None => self.floor.is_none_or(|floor| line.ts > floor),
        };
        if is_new {
            self.apps.insert(line.app.clone(), line.seq);
            self.newest = self.newest.max(Some(line.ts));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(app: &str, seq: u64, at: u64) -> LogLine {
        let ts = Timestamp::UNIX_EPOCH + Duration::from_secs(at);
        let text = format!(r#"{{"seq":{seq},"ts":"{ts}","app":"{app}","stream":"stdout","line":"x"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_app_goes_on_after_its_own_last_line() {
        let mut cursors = Cursors::default();
        cursors.connected();
        assert!(cursors.admit(&line("busy", 900, 10)) && cursors.admit(&line("calm", 3, 11)));
        cursors.connected();
        assert_eq!(cursors.earliest(), Some(3));
        assert!(!cursors.admit(&line("busy", 900, 10)));
        assert!(cursors.admit(&line("busy", 901, 12)) && cursors.admit(&line("calm", 4, 12)));
        assert!(!cursors.admit(&line("calm", 4, 12)));
    }

    #[test]
    fn an_app_that_was_silent_begins_with_what_it_writes_now() {
        let mut cursors = Cursors::default();
        cursors.connected();
        assert!(cursors.admit(&line("busy", 900, 10)));
        cursors.connected();
        assert!(!cursors.admit(&line("late", 7, 5)));
        assert!(cursors.admit(&line("late", 8, 11)));
    }

    #[test]
    fn the_first_stream_is_shown_whole() {
        let mut cursors = Cursors::default();
        cursors.connected();
        assert!(cursors.admit(&line("a", 5, 9)) && cursors.admit(&line("b", 2, 1)));
    }
}
