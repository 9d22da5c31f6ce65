//! Host names of routes, exact ones and patterns.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A host name as routes compare it: lower case, without port and without a trailing dot (RFC 9110, section 4.2.3); or a
/// pattern `*.example.com` for every name below `example.com`, however many labels deep, as wildcards of the DNS are
/// (RFC 4592): what the name server leads here is served here. `example.com` itself is not below itself. `*` alone is every
/// name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(Box<str>);

/// Why a text is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host name; write it as `app.example.com`, without scheme, port or path")]
pub struct InvalidHost(pub String);

impl HostPattern {
    /// Checks and normalises a host name.
    ///
    /// # Errors
    /// [`InvalidHost`] unless the text is a DNS name of letters, digits, hyphens and dots (RFC 1123, section 2.1).
    pub fn new(host: &str) -> Result<Self, InvalidHost> {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if name.len() > 253 || !name.split('.').all(label_ok) {
            return Err(InvalidHost(host.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// Checks and normalises a host name, or a pattern whose first label is `*`, which may be the only one.
    ///
    /// # Errors
    /// [`InvalidHost`] as [`HostPattern::new`] says, and for a `*` anywhere else.
    pub fn pattern(text: &str) -> Result<Self, InvalidHost> {
        if text == "*" {
            return Ok(Self("*".into()));
        }
        let Some(parent) = text.strip_prefix("*.") else { return Self::new(text) };
        let parent = Self::new(parent).map_err(|_| InvalidHost(text.to_owned()))?;
        Ok(Self(format!("*.{parent}").into()))
    }

    /// The host name or pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `example.com` of `*.example.com`, the empty text of `*`; nothing of an exact name.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.strip_prefix('*').map(|parent| parent.strip_prefix('.').unwrap_or(parent))
    }

    /// Whether a name in lower case, without port and final dot, is this one or falls under the pattern.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.parent() {
            None => name == &*self.0,
            Some("") => true,
            Some(parent) => name
                .strip_suffix(parent)
                .is_some_and(|below| below.len() > 1 && below.ends_with('.') && !below.starts_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::pattern(&s)
    }
}

impl From<HostPattern> for String {
    fn from(host: HostPattern) -> Self {
        host.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_in_lower_case_and_without_its_final_dot() {
        assert_eq!(HostPattern::new("App.Example.COM.").unwrap().as_str(), "app.example.com");
    }

    #[test]
    fn a_url_is_not_a_host() {
        for bad in ["", "http://a.b", "a.b:80", "a..b", "-a.b", "a b", "a/b", "*.a.b", &"a".repeat(64)] {
            assert!(HostPattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_alone_in_the_first_label() {
        assert_eq!(HostPattern::pattern("*.Example.com").unwrap().as_str(), "*.example.com");
        assert!(HostPattern::pattern("*").unwrap().matches("any.example"));
        for bad in ["*.", "a.*.com", "*a.com", "a*.com", "*.*.com", "**.com"] {
            assert!(HostPattern::pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_takes_every_name_below_and_not_the_name_itself() {
        let pattern = HostPattern::pattern("*.example.com").unwrap();
        assert!(pattern.matches("a.example.com") && pattern.matches("a.b.example.com"));
        for other in ["example.com", ".example.com", "badexample.com", "example.com.evil", "com"] {
            assert!(!pattern.matches(other), "{other}");
        }
    }
}
