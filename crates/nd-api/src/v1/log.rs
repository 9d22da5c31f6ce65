//! Log lines and their filters.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use nd_types::{AppName, Timestamp, UnitId};
use serde::{Deserialize, Serialize};

/// Which output a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How severe a line is, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Finest detail.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// Business as usual.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
    /// The app gave up.
    Fatal,
}

impl LogLevel {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLevel;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(match s.to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            "fatal" => Self::Fatal,
            _ => return Err(UnknownLevel(s.to_owned())),
        })
    }
}

/// Why a word is not a level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of trace, debug, info, warn, error, fatal")]
pub struct UnknownLevel(String);

/// One line that an app wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Grows with every line of the daemon; a reader that comes back asks for what follows its last one.
    pub seq: u64,
    /// When it was written.
    pub ts: Timestamp,
    /// The app.
    pub app: AppName,
    /// Which of the user's environments the app belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The container that wrote it; nothing for a plain process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The instance that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<UnitId>,
    /// Where it was written to.
    pub stream: LogStream,
    /// How severe it is, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// The text, without its line end.
    pub line: String,
    /// Fields of a line that is a JSON object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// One frame of a log stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum LogFrame {
    /// A line.
    Log(LogLine),
    /// The reader was too slow, and lines were left out.
    Gap {
        /// How many.
        dropped: u64,
    },
}

/// The parameters of `GET /api/v1/logs` and of `WS /ws/logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Only of these apps, separated by commas; of all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only of the instance with this id, or the first one whose id begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Only of the instances in this place of their releases, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u16>,
    /// Only what was written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<LogStream>,
    /// Only this level: `error`; with a plus, and worse: `warn+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Only lines that contain this text, whatever its case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// How many of the last lines at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Only lines from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only lines before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only lines after the one with this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Stay connected and send what is written, as NDJSON.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_documented_form() {
        let line = LogLine {
            seq: 7,
            ts: Timestamp::UNIX_EPOCH,
            app: "shop".parse().unwrap(),
            env: None,
            container: None,
            instance: Some("shop-8f3k2a-1".parse().unwrap()),
            stream: LogStream::Stderr,
            level: Some(LogLevel::Error),
            line: "boom".to_owned(),
            fields: BTreeMap::new(),
        };
        let text = serde_json::to_string(&LogFrame::Log(line)).unwrap();
        assert_eq!(
            text,
            r#"{"type":"log","seq":7,"ts":"1970-01-01T00:00:00Z","app":"shop","instance":"shop-8f3k2a-1","stream":"stderr","level":"error","line":"boom"}"#
        );
        assert_eq!(
            serde_json::to_string(&LogFrame::Gap { dropped: 3 }).unwrap(),
            r#"{"type":"gap","dropped":3}"#
        );
    }
}
