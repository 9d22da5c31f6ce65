//! Log lines.

use std::collections::BTreeMap;

use nd_api::v1::{LogLevel, LogLine, LogStream};
use nd_core::ports::{LogEntry, LogLevel as CoreLevel, OutputStream};

/// A kept line as the API shows it.
pub(crate) fn log_line(entry: LogEntry) -> LogLine {
    LogLine {
        seq: entry.seq,
        ts: entry.at,
        fields: fields(&entry.line),
        app: entry.app,
        env: None,
        container: Some(entry.unit.to_string()),
        instance: Some(entry.unit),
        stream: match entry.stream {
            OutputStream::Stdout => LogStream::Stdout,
            OutputStream::Stderr => LogStream::Stderr,
        },
        level: Some(match entry.level {
            CoreLevel::Trace => LogLevel::Trace,
            CoreLevel::Debug => LogLevel::Debug,
            CoreLevel::Info => LogLevel::Info,
            CoreLevel::Warn => LogLevel::Warn,
            CoreLevel::Error => LogLevel::Error,
        }),
        line: entry.line,
    }
}

/// The fields of a line that is a JSON object.
fn fields(line: &str) -> BTreeMap<String, serde_json::Value> {
    if !line.starts_with('{') {
        return BTreeMap::new();
    }
    serde_json::from_str(line).unwrap_or_default()
}
