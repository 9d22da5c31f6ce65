//! Names that users write.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an app: 1 to 63 characters of `a-z`, `0-9` and `-`, starting and ending with a letter or digit.
///
/// The same alphabet as a DNS label (RFC 1123, section 2.1), because the name becomes `<app>.localhost`, a container
/// name and a directory name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(Box<str>);

/// Why a text is not an app name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("an app name must not be empty")]
    Empty,
    /// Longer than a DNS label may be.
    #[error("app name is {length} characters long, at most {} are allowed", AppName::MAX_LENGTH)]
    TooLong {
        /// Characters found.
        length: usize,
    },
    /// A character outside the alphabet.
    #[error("app name `{name}` contains `{found}`; only a-z, 0-9 and - are allowed")]
    Character {
        /// The text that was given.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A hyphen at either end.
    #[error("app name `{name}` must start and end with a letter or digit")]
    Hyphen {
        /// The text that was given.
        name: String,
    },
}

impl AppName {
    /// The length of a DNS label.
    pub const MAX_LENGTH: usize = 63;

    /// Checks `name` and takes it.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule the text breaks.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if name.is_empty() {
            return Err(InvalidName::Empty);
        }
        let length = name.chars().count();
        if length > Self::MAX_LENGTH {
            return Err(InvalidName::TooLong { length });
        }
        if let Some(found) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(InvalidName::Character { name: name.to_owned(), found });
        }
        if name.starts_with('-') || name.ends_with('-') {
            return Err(InvalidName::Hyphen { name: name.to_owned() });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AppName {
    type Err = InvalidName;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for AppName {
    type Error = InvalidName;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(&s)
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0.into()
    }
}

impl Borrow<str> for AppName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Which runtime runs an app's units, as it is written in `runtime:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// Containers of a Docker engine.
    Docker,
    /// Plain processes under a shim.
    Process,
    /// Servers that something else runs: requests are brought to them, and nothing more.
    External,
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Process => "process",
            Self::External => "external",
        })
    }
}

/// What brings requests to an app, as it is written in `proxy_type:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngressKind {
    /// The proxy that is part of the daemon.
    #[default]
    Embedded,
    /// A Caddy that runs beside the daemon.
    Caddy,
    /// An nginx that runs beside the daemon.
    Nginx,
}

impl IngressKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Caddy, Self::Nginx];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Caddy => "caddy",
            Self::Nginx => "nginx",
        }
    }
}

impl fmt::Display for IngressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one release replaces another, as it is written in `strategy:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyName {
    /// The new release starts beside the old one and takes over when it is ready.
    BlueGreen,
    /// The old release stops before the new one starts; requests wait in the gap.
    Recreate,
    /// One instance after the other: each new one takes over from one of the old release.
    Rolling,
    /// A growing share of clients gets the new release, which is watched meanwhile.
    Canary,
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlueGreen => "bluegreen",
            Self::Recreate => "recreate",
            Self::Rolling => "rolling",
            Self::Canary => "canary",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_an_app_name() {
        for name in ["a", "shop", "shop-2", "0", &"a".repeat(63)] {
            assert_eq!(AppName::new(name).map(|n| n.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        assert_eq!(AppName::new(""), Err(InvalidName::Empty));
        assert_eq!(AppName::new(&"a".repeat(64)), Err(InvalidName::TooLong { length: 64 }));
        assert!(matches!(AppName::new("Shop"), Err(InvalidName::Character { found: 'S', .. })));
        assert!(matches!(AppName::new("../etc"), Err(InvalidName::Character { found: '.', .. })));
        assert!(matches!(AppName::new("-a"), Err(InvalidName::Hyphen { .. })));
        assert!(matches!(AppName::new("a-"), Err(InvalidName::Hyphen { .. })));
    }
}
