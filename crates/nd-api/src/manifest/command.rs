//! Commands as users write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A command: one line for a shell, or a program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// A line that `/bin/sh -c` reads.
    Shell(String),
    /// A program and its arguments, passed on as they are; never empty.
    Exec(Vec<String>),
}

impl CommandLine {
    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Shell(line) => line.trim().is_empty(),
            Self::Exec(words) => words.first().is_none_or(String::is_empty),
        }
    }

    /// The words to execute: those of the list, or the shell with the line.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::Exec(words) => words.clone(),
        }
    }
}

impl fmt::Display for CommandLine {
    /// The command as it would be typed; words with blanks are quoted for reading, not for a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            Self::Exec(words) => {
                for (index, word) in words.iter().enumerate() {
                    let gap = if index == 0 { "" } else { " " };
                    if word.is_empty() || word.contains(char::is_whitespace) {
                        write!(f, "{gap}'{word}'")?;
                    } else {
                        write!(f, "{gap}{word}")?;
                    }
                }
                Ok(())
            }
        }
    }
}
