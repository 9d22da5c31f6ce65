//! A line as it is stored: one JSON object.

use std::borrow::Cow;

use nd_core::ports::{LogEntry, LogLevel, OutputStream};
use nd_types::{Timestamp, UnitId};
use serde::{Deserialize, Serialize};

/// The stored form. Unknown keys are passed over, so that a later version may add some.
#[derive(Serialize, Deserialize)]
struct StoredLine<'a> {
    ts: Timestamp,
    seq: u64,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow)]
    line: Cow<'a, str>,
}

/// What has to be known of a line to go on after it.
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) unit: UnitId,
}

/// Adds the stored form of an entry, with its line end, to `text`.
pub(crate) fn write(entry: &LogEntry, text: &mut Vec<u8>) -> serde_json::Result<()> {
    let stored = StoredLine {
        ts: entry.at,
        seq: entry.seq,
        unit: entry.unit.as_str().into(),
        stream: stream_name(entry.stream).into(),
        level: level_name(entry.level).into(),
        line: entry.line.as_str().into(),
    };
    serde_json::to_writer(&mut *text, &stored)?;
    text.push(b'\n');
    Ok(())
}

/// Reads a stored line; `None` for one that is damaged.
pub(crate) fn read(text: &[u8]) -> Option<LogEntry> {
    let stored: StoredLine<'_> = serde_json::from_slice(text).ok()?;
    let unit: UnitId = stored.unit.parse().ok()?;
    Some(LogEntry {
        seq: stored.seq,
        at: stored.ts,
        app: unit.app().clone(),
        unit,
        stream: if stored.stream == "stderr" { OutputStream::Stderr } else { OutputStream::Stdout },
        level: level_named(&stored.level),
        line: stored.line.into_owned(),
    })
}

/// Reads what has to be known to go on after a stored line; `None` for one that is damaged.
pub(crate) fn mark(text: &[u8]) -> Option<Mark> {
    let stored: StoredLine<'_> = serde_json::from_slice(text).ok()?;
    Some(Mark { seq: stored.seq, at: stored.ts, unit: stored.unit.parse().ok()? })
}

fn stream_name(stream: OutputStream) -> &'static str {
    match stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    }
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn level_named(name: &str) -> LogLevel {
    match name {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_whatever_it_holds() {
        let unit: UnitId = "shop-8f3k2a-1".parse().unwrap();
        for line in ["", "plain", "\"quoted\" \\ \u{0}\u{1b}[31m\r", "żółw 🐢", "{\"a\":1}"] {
            let entry = LogEntry {
                seq: 7,
                at: "2026-11-03T10:00:00.123456789Z".parse().unwrap(),
                app: unit.app().clone(),
                unit: unit.clone(),
                stream: OutputStream::Stderr,
                level: LogLevel::Warn,
                line: line.to_owned(),
            };
            let mut text = Vec::new();
            write(&entry, &mut text).unwrap();
            assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(read(text.trim_ascii_end()), Some(entry));
        }
    }

    #[test]
    fn a_damaged_line_is_none() {
        for text in [b"".as_slice(), b"{", b"{}", b"\xff", br#"{"ts":"now","seq":1}"#] {
            assert!(read(text).is_none() && mark(text).is_none());
        }
    }
}
