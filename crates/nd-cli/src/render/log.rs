//! Log lines.

use nd_api::v1::{LogLevel, LogLine, LogStream};

use super::time;
use crate::output::Output;

/// What of a line is shown beside its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogStyle {
    pub(crate) raw: bool,
    pub(crate) time: bool,
}

/// One line: `15:04:05.120 shop-8f3k2a-1 ERR text`.
pub(crate) fn line(line: &LogLine, style: LogStyle, output: &Output) -> String {
    if style.raw {
        return line.line.clone();
    }
    let mut text = String::new();
    if style.time {
        text.push_str(&output.dim(&time::clock_millis(line.ts)));
        text.push(' ');
    }
    let unit = line.instance.as_ref().map_or_else(|| line.app.to_string(), ToString::to_string);
    text.push_str(&unit);
    text.push(' ');
    text.push_str(&tag(line, output));
    text.push(' ');
    text.push_str(&shown(&line.line));
    text
}

/// The level where it says something, else the stream.
fn tag(line: &LogLine, output: &Output) -> String {
    match line.level {
        Some(LogLevel::Fatal | LogLevel::Error) => output.bad("ERR"),
        Some(LogLevel::Warn) => output.odd("WRN"),
        Some(LogLevel::Debug | LogLevel::Trace) => output.dim("DBG"),
        Some(LogLevel::Info) | None if line.stream == LogStream::Stderr => output.dim("err"),
        Some(LogLevel::Info) | None => output.dim("out"),
    }
}

/// A line without what would move the terminal's cursor or recolour it.
pub(super) fn shown(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    plain.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\u{1b}[31mc\rd\te"), "abcd\te");
    }
}
