//! How a unit ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the main process of a unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel or the engine killed it for memory.
    OutOfMemory,
    /// It is gone, and nobody saw how.
    Unknown,
}

impl ExitStatus {
    /// Whether the process ended by its own will and without complaint.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The status that a container engine reports as one number: above 128 a signal ended the process.
    #[must_use]
    pub fn from_engine_code(code: i64, out_of_memory: bool) -> Self {
        if out_of_memory {
            return Self::OutOfMemory;
        }
        match i32::try_from(code) {
            Ok(signal @ 129..=192) => Self::Signal(signal - 128),
            Ok(code) => Self::Code(code),
            Err(_) => Self::Unknown,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}

/// POSIX names of the signals that end apps in practice.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_code_above_128_is_a_signal() {
        assert_eq!(ExitStatus::from_engine_code(137, false), ExitStatus::Signal(9));
        assert_eq!(ExitStatus::from_engine_code(127, false), ExitStatus::Code(127));
        assert_eq!(ExitStatus::from_engine_code(137, true), ExitStatus::OutOfMemory);
        assert_eq!(ExitStatus::Signal(9).to_string(), "signal 9 (SIGKILL)");
    }
}
