//! Doors for `nd-fuzz`: what an app may write, and what a damaged disk may hold. Each panics where a promise is broken.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use nd_core::ports::LogFilter;
use nd_types::Timestamp;

use crate::app_log::AppLog;
use crate::query::{self, View};
use crate::{detect_level, line};

/// A stored line is read or passed over; one that is read is written again as the same one.
pub fn stored_line(bytes: &[u8]) {
    let Some(entry) = line::read(bytes) else { return };
    let mark = line::mark(bytes);
    let found = mark.map(|mark| (mark.seq, mark.at, mark.unit));
    assert_eq!(found, Some((entry.seq, entry.at, entry.unit.clone())), "a mark differs from its line");
    let mut text = Vec::new();
    assert!(line::write(&entry, &mut text).is_ok(), "{entry:?} cannot be written");
    assert_eq!(line::read(text.trim_ascii_end()).as_ref(), Some(&entry));
}

/// A level is found in any line.
pub fn level(bytes: &[u8]) {
    black_box(detect_level(&String::from_utf8_lossy(bytes)));
}

/// Whatever a segment holds, its log opens, and what can be read of it is shown.
///
/// `dir` is an empty directory for this one run.
pub fn segment(dir: &Path, bytes: &[u8]) {
    let day = dir.join("2026-11-03");
    if fs::create_dir_all(&day).and_then(|()| fs::write(day.join("1.ndjson"), bytes)).is_err() {
        return;
    }
    let log = AppLog::load(dir);
    assert!(log.is_ok(), "a damaged segment keeps its log from opening: {log:?}");
    let Ok(log) = log else { return };
    let segments = log.segments().rev().cloned().collect();
    let view = View { last_seq: u64::MAX, apps: vec![(dir.to_owned(), segments)] };
    let found = query::newest(&view, &LogFilter::default(), 100, Duration::from_secs(60));
    assert!(found.is_ok(), "a damaged segment cannot be searched: {found:?}");
    let since = LogFilter { since: Some(Timestamp::now()), ..LogFilter::default() };
    assert!(query::newest(&view, &since, 100, Duration::from_secs(60)).is_ok());
}
