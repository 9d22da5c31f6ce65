//! How answers are compressed on their way to a client.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A content coding that the data plane can apply (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentCoding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// The format of gzip (RFC 1952).
    Gzip,
}

/// The codings offered to clients; among those that a client likes equally well the first one counts. None at all: answers
/// pass as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Compression(pub Vec<ContentCoding>);

/// Why a text is no coding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of zstd, br, gzip")]
pub struct UnknownCoding(pub String);

impl ContentCoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl Compression {
    /// What is offered where nothing is said: what costs little and what everybody understands.
    pub const DEFAULT: [ContentCoding; 2] = [ContentCoding::Zstd, ContentCoding::Gzip];

    /// Whether it is the one where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self(Self::DEFAULT.to_vec())
    }
}

impl fmt::Display for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContentCoding {
    type Err = UnknownCoding;

    fn from_str(text: &str) -> Result<Self, UnknownCoding> {
        Self::ALL.into_iter().find(|coding| coding.as_str() == text).ok_or_else(|| UnknownCoding(text.into()))
    }
}
