//! How grave a line is, as far as the line says so.

use std::borrow::Cow;

use nd_core::ports::LogLevel;
use serde::Deserialize;
use serde_json::Value;

/// How far into a line a level is looked for, in bytes.
const HEAD: usize = 512;

/// How many words may stand before a level: a date, a time, a process, a logger, and what separates them.
const WORDS: usize = 7;

/// Finds out how grave a line is: from a field of a JSON or logfmt line, or from a word at its beginning. A line that
/// does not say it is [`LogLevel::Info`], on standard error too: many programs write everything there.
#[must_use]
pub fn detect_level(line: &str) -> LogLevel {
    let line = line.trim_start();
    let said = if line.starts_with('{') { of_json(line) } else { of_text(head(line)) };
    said.unwrap_or(LogLevel::Info)
}

/// Fields that JSON loggers write: pino, bunyan, winston, zap, slog, logrus, logstash, Google Cloud, Serilog.
#[derive(Deserialize)]
struct JsonLine {
    #[serde(alias = "severity", alias = "lvl", alias = "loglevel", alias = "log.level", alias = "levelname")]
    #[serde(alias = "Level", alias = "@l", alias = "LEVEL")]
    level: Option<Value>,
}

fn of_json(line: &str) -> Option<LogLevel> {
    match serde_json::from_str::<JsonLine>(line).ok()?.level? {
        Value::String(word) => named(&word),
        // pino and bunyan count from 10 (trace) in tens; 60 is fatal.
        Value::Number(number) => Some(match number.as_u64()? {
            0..=10 => LogLevel::Trace,
            11..=20 => LogLevel::Debug,
            21..=30 => LogLevel::Info,
            31..=40 => LogLevel::Warn,
            _ => LogLevel::Error,
        }),
        _ => None,
    }
}

fn of_text(line: &str) -> Option<LogLevel> {
    let line = &*without_colours(line);
    syslog(line)
        .or_else(|| logfmt(line))
        .or_else(|| glog(line))
        .or_else(|| crash(line))
        .or_else(|| first_words(line))
}

/// `level=warn` as a word of its own.
fn logfmt(line: &str) -> Option<LogLevel> {
    ["level=", "lvl=", "severity=", "levelname="].into_iter().find_map(|key| {
        let starts_word =
            |at: usize| line.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(' '));
        let (at, _) = line.match_indices(key).find(|(at, _)| starts_word(*at))?;
        let value = line.get(at + key.len()..)?.trim_start_matches('"');
        named(value.split([' ', '"', ',']).next()?)
    })
}

/// `<3>` as systemd reads it (sd-daemon(3)).
fn syslog(line: &str) -> Option<LogLevel> {
    let (digit, _) = line.strip_prefix('<')?.split_once('>')?;
    Some(match digit {
        "0" | "1" | "2" | "3" => LogLevel::Error,
        "4" => LogLevel::Warn,
        "5" | "6" => LogLevel::Info,
        "7" => LogLevel::Debug,
        _ => return None,
    })
}

/// `E1103 10:00:00.000000` of glog and klog.
fn glog(line: &str) -> Option<LogLevel> {
    let (word, _) = line.split_once(' ')?;
    let mut characters = word.chars();
    let letter = characters.next()?;
    if word.len() != 5 || !characters.all(|character| character.is_ascii_digit()) {
        return None;
    }
    match letter {
        'I' => Some(LogLevel::Info),
        'W' => Some(LogLevel::Warn),
        'E' | 'F' => Some(LogLevel::Error),
        _ => None,
    }
}

/// The first line of a crash: Python, Go, Rust, Java, JavaScript.
fn crash(line: &str) -> Option<LogLevel> {
    let begins =
        ["Traceback (most recent call last)", "panic: ", "Exception in thread", "Uncaught ", "Unhandled "];
    let first = line.split(' ').next().unwrap_or_default();
    let thrown = first.strip_suffix(':').is_some_and(|name| {
        let name = name.rsplit('.').next().unwrap_or(name);
        name.len() > 5 && (name.ends_with("Error") || name.ends_with("Exception"))
    });
    let panicked = line.starts_with("thread '") && line.contains("panicked at");
    (thrown || panicked || begins.iter().any(|begin| line.starts_with(begin))).then_some(LogLevel::Error)
}

/// A level among the first words: `ERROR`, `[warn]`, `error:`, `<Info>`. A lower-case word without a mark is prose.
fn first_words(line: &str) -> Option<LogLevel> {
    let mut prose = false;
    for word in line.split([' ', '\t', '|']).filter(|word| !word.is_empty()).take(WORDS) {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let marked = bare.len() < word.len() && !prose;
        let shouted = bare.bytes().all(|byte| byte.is_ascii_uppercase());
        // Monolog writes channel and level as one word, `app.ERROR`.
        let level =
            named(bare).or_else(|| named(bare.rsplit(['.', '/']).next().unwrap_or(bare)).filter(|_| !prose));
        if let Some(level) = level.filter(|_| marked || shouted || dotted_shout(bare)) {
            return Some(level);
        }
        prose |= !is_preamble(word);
    }
    None
}

fn dotted_shout(word: &str) -> bool {
    word.rsplit_once('.')
        .is_some_and(|(_, last)| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// Whether a word may stand before a level: a time, a number, something in brackets, a separator.
fn is_preamble(word: &str) -> bool {
    let first = word.chars().next().unwrap_or(' ');
    !first.is_alphabetic() || word.bytes().any(|byte| byte.is_ascii_digit())
}

fn named(word: &str) -> Option<LogLevel> {
    const NAMES: [(&str, LogLevel); 25] = [
        ("trace", LogLevel::Trace),
        ("trc", LogLevel::Trace),
        ("verbose", LogLevel::Trace),
        ("finest", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("dbg", LogLevel::Debug),
        ("fine", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("inf", LogLevel::Info),
        ("information", LogLevel::Info),
        ("notice", LogLevel::Info),
        ("log", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("wrn", LogLevel::Warn),
        ("warning", LogLevel::Warn),
        ("error", LogLevel::Error),
        ("err", LogLevel::Error),
        ("eror", LogLevel::Error),
        ("severe", LogLevel::Error),
        ("fatal", LogLevel::Error),
        ("critical", LogLevel::Error),
        ("crit", LogLevel::Error),
        ("alert", LogLevel::Error),
        ("emerg", LogLevel::Error),
        ("panic", LogLevel::Error),
    ];
    NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
}

/// The line without terminal colours (ECMA-48, section 8.3.117).
fn without_colours(line: &str) -> Cow<'_, str> {
    if !line.contains("\x1b[") {
        return line.into();
    }
    let mut parts = line.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let parameters = part.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        plain.push_str(part.get(parameters..).unwrap_or_default().strip_prefix('m').unwrap_or(part));
    }
    plain.into()
}

fn head(line: &str) -> &str {
    let end = (0..=HEAD.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line.get(..end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(level: LogLevel, lines: &[&str]) {
        for line in lines {
            assert_eq!(detect_level(line), level, "{line}");
        }
    }

    #[test]
    fn json_lines_say_their_level_in_a_field() {
        all(
            LogLevel::Warn,
            &[r#"{"level":"warn","msg":"x"}"#, r#"{"msg":"level","severity":"WARNING"}"#, r#"{"level":40}"#],
        );
        all(
            LogLevel::Error,
            &[r#"{"level":50,"msg":"x"}"#, r#"{"level":60}"#, r#" {"@l":"Fatal"}"#, r#"{"lvl":"crit"}"#],
        );
        all(LogLevel::Debug, &[r#"{"level":20}"#, r#"{"log.level":"debug"}"#]);
        all(
            LogLevel::Info,
            &[r#"{"msg":"ERROR"}"#, r#"{"level":null}"#, r#"{"level":{"a":1}}"#, "{not json ERROR"],
        );
    }

    #[test]
    fn logfmt_lines_say_their_level_in_a_field() {
        all(LogLevel::Error, &["time=2026-11-03 level=error msg=x", "lvl=eror x", r#"level="fatal" x"#]);
        all(LogLevel::Warn, &["ts=1 severity=warning msg=\"level=info\""]);
        all(LogLevel::Info, &["sublevel=error x", "level=up"]);
    }

    #[test]
    fn text_lines_say_their_level_in_a_word_at_the_beginning() {
        all(
            LogLevel::Error,
            &[
                "ERROR something broke",
                "2026-11-03T10:00:00.000Z ERROR app: something broke",
                "2026-11-03 10:00:00,123 - my.logger - ERROR - broke",
                "[error] 12#12: *1 open() failed",
                "2026/11/03 10:00:00 [error] 12#12: *1 open() failed",
                "error: cannot find module",
                "npm ERR! code ELIFECYCLE",
                "[2026-11-03T10:00:00Z ERROR app] broke",
                "[2026-11-03 10:00:00] production.ERROR: broke",
                "\x1b[31mERROR\x1b[0m broke",
                "\x1b[1;31merror\x1b[0m: broke",
                "FATAL:  database \"x\" does not exist",
                "2026-11-03 10:00:00.000 UTC [1] FATAL:  password authentication failed",
                "CRITICAL|worker|dead",
                "E1103 10:00:00.000000       1 server.go:1] broke",
                "<3>broke",
            ],
        );
        all(
            LogLevel::Warn,
            &["WARN  deprecated", "(node:1) Warning: deprecated", "warning: unused", "[WRN] x", "W1103 x"],
        );
        all(LogLevel::Debug, &["DEBUG x", "[10:00:00 DBG] x", "<7>x"]);
        all(LogLevel::Trace, &["TRACE x", "[trace] x"]);
    }

    #[test]
    fn crashes_are_errors() {
        all(
            LogLevel::Error,
            &[
                "TypeError: x is not a function",
                "Traceback (most recent call last):",
                "ValueError: invalid literal",
                "java.lang.NullPointerException: x",
                "panic: runtime error: index out of range",
                "thread 'main' panicked at src/main.rs:1:1:",
                "Error: listen EADDRINUSE: address already in use",
                "Uncaught Exception: x",
            ],
        );
    }

    #[test]
    fn prose_is_information() {
        all(
            LogLevel::Info,
            &[
                "",
                "listening on :3000",
                "error handling is enabled",
                "no error was found",
                "INFO ready",
                "Information about errors",
                "GET /error 200",
                "retrying after error: none",
                "it said: error",
            ],
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        all(LogLevel::Info, &[&"ż".repeat(10_000), &format!("a{}", "ż".repeat(10_000))]);
    }
}
