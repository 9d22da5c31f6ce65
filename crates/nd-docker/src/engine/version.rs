//! What an engine says about itself.

use std::fmt;

/// What an engine says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its version, as in `28.5.1`.
    pub version: String,
    /// The newest API version it speaks, as in `1.51`.
    pub api: String,
    /// Its operating system, as in `linux`.
    pub os: String,
    /// Its processor architecture in Go's words, as in `amd64`.
    pub arch: String,
}

/// A version of the engine's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(u32, u32);

impl ApiVersion {
    /// Docker 20.10, the oldest engine that is supported.
    pub(crate) const OLDEST: Self = Self(1, 41);

    /// Docker 25, the first that probes more often while a container starts.
    pub(crate) const START_INTERVAL: Self = Self(1, 44);

    /// Reads `1.51`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let parse = |text| ApiVersion::parse(text).unwrap();
        assert!(parse("1.9") < parse("1.41") && parse("1.53") >= ApiVersion::START_INTERVAL);
        assert_eq!(ApiVersion::parse("next"), None);
    }
}
