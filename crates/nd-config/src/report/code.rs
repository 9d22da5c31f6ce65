//! Stable codes of mistakes.

use std::fmt;

macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)+) => {
        /// The stable code of a mistake in a text; `nextdeploy explain CODE` says more.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name),+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code, as in `ND0110`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code),+
                }
            }

            /// What it stands for.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning),+
                }
            }
        }
    };
}

codes! {
    Syntax = "ND0101", "The text does not follow the syntax of its format.";
    DuplicateKey = "ND0102", "A key stands twice in one map; which of the two was meant cannot be known.";
    Tab = "ND0103", "A tab stands in the indentation; YAML allows only spaces there.";
    TooLarge = "ND0104", "The text, or what its aliases stand for, is larger than any real file.";
    UnknownKey = "ND0110", "A key that this section does not have.";
    MisplacedKey = "ND0111", "A key that belongs into another section.";
    MissingKey = "ND0112", "A key that must be written is not there.";
    WrongType = "ND0120", "A value of another kind than the key takes: a list for a text, a word for a number.";
    BadValue = "ND0121", "A value that the key does not take, or one out of range.";
    Conflict = "ND0123", "Two values that cannot both hold.";
    UnsetVariable = "ND0130", "A variable that the text refers to is not set in the environment of the command.";
    BadVariable = "ND0131", "A reference to a variable that cannot be read.";
    ForeignTarget = "ND0201", "A target that only the original Go tool serves.";
    NotYet = "ND0202", "A key that is known, whose feature this version does not have yet.";
    NewerFormat = "ND0203", "The file was written for a newer version of this tool.";
    PortIsRoute = "ND0231", "A published port 80 or 443 is a route of the proxy, which serves all apps on it.";
    NoEffect = "ND0232", "A value that has no effect here.";
    UnknownEnvironment = "ND0240", "An environment that does not exist.";
    Refused = "ND0250", "A value that policy refuses, because it would hand the host to the app.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_for_two_things() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert!(!Code::ALL.iter().skip(index + 1).any(|other| other.as_str() == code.as_str()), "{code}");
        }
    }
}
