//! Paths that routes and rules compare with.

use serde::{Deserialize, Serialize};

/// A path that a request's path must equal or continue at a `/`: `/api` matches `/api` and `/api/x`, not `/apis`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Takes a path; a missing leading slash is added and a trailing one removed.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(format!("/{}", path.trim_matches('/')).into())
    }

    /// Every path.
    #[must_use]
    pub fn root() -> Self {
        Self::new("/")
    }

    /// Whether a request path falls under this prefix.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        if &*self.0 == "/" {
            return true;
        }
        path.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The prefix as text, always starting with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PathPrefix {
    fn from(s: String) -> Self {
        Self::new(&s)
    }
}

impl From<PathPrefix> for String {
    fn from(path: PathPrefix) -> Self {
        path.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prefix_ends_at_a_slash() {
        let api = PathPrefix::new("api/");
        assert!(api.matches("/api") && api.matches("/api/x"));
        assert!(!api.matches("/apis") && !api.matches("/"));
        assert!(PathPrefix::root().matches("/anything"));
    }
}
