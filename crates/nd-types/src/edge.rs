//! What the data plane serves: one immutable, numbered state, replaced whole.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Generation, ReleaseId, UnitId};
use crate::name::AppName;

/// Everything the data plane needs to answer requests, and nothing else.
///
/// A state is never edited: the control plane builds the next one and the data plane swaps it in whole, so a request
/// sees either the old table or the new one, never a mixture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState {
    /// The version of this state.
    pub generation: Generation,
    /// One entry per app that has a port.
    pub services: Vec<Service>,
    /// Which host and path lead to which service. A route always names a service of this state.
    pub routes: Vec<Route>,
    /// Listeners whose only route is one app.
    pub host_ports: Vec<HostPort>,
}

/// One app as the data plane sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The app.
    pub app: AppName,
    /// The release that serves.
    pub release: ReleaseId,
    /// Units that may receive requests now. May be empty while `availability` is `Serving`: requests are then held.
    pub backends: Vec<Backend>,
    /// Whether requests are served, held or refused.
    pub availability: Availability,
    /// Limits and timeouts of this app's requests.
    pub limits: ServiceLimits,
}

/// What a request to a service may expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Availability {
    /// Requests go to a backend; while there is none they are held, up to [`ServiceLimits::hold`].
    Serving,
    /// The user stopped the app: 503 at once.
    Stopped,
    /// No unit can be kept running: 503 at once.
    Failed {
        /// Why, in words that may be shown to a visitor (no command lines, no addresses).
        reason: String,
    },
}

/// One unit that may receive requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The unit behind the address.
    pub unit: UnitId,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started, where that is known: one life of the unit is not another.
    #[serde(default)]
    pub started: Option<Timestamp>,
}

/// Limits and timeouts of one app's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLimits {
    /// Largest request body in bytes; more is answered 413.
    pub body_bytes: u64,
    /// How long the app may take until its response head arrives; then 504.
    pub response_header_timeout: Duration,
    /// How long a request may wait while no backend is ready; then 503.
    pub hold: Duration,
    /// How many requests may wait at once; further ones get 503.
    pub hold_requests: u32,
}

impl Default for ServiceLimits {
    /// 100 MB bodies, 60 s to the response head, held for at most 30 s and 1,000 requests at a time.
    fn default() -> Self {
        Self {
            body_bytes: 100 * 1024 * 1024,
            response_header_timeout: Duration::from_secs(60),
            hold: Duration::from_secs(30),
            hold_requests: 1000,
        }
    }
}

/// One line of the routing table: the most specific host wins, then the longest path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The host that must match.
    pub host: HostPattern,
    /// The path that must match.
    pub path: PathPrefix,
    /// The service that answers.
    pub app: AppName,
}

/// A host name as routes compare it: lower case, without port and without a trailing dot (RFC 9110, section 4.2.3).
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

    /// The host name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
        Self::new(&s)
    }
}

impl From<HostPattern> for String {
    fn from(host: HostPattern) -> Self {
        host.0.into()
    }
}

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

/// A listener that belongs to one app (`ports: ["3000:3000"]`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// Where the data plane listens.
    pub bind: SocketAddr,
    /// The app that answers.
    pub app: AppName,
    /// What is spoken on it.
    pub protocol: HostPortProtocol,
}

/// What a host port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPortProtocol {
    /// HTTP requests, balanced one by one.
    Http,
    /// Bytes, balanced by connection.
    Tcp,
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
        for bad in ["", "http://a.b", "a.b:80", "a..b", "-a.b", "a b", "a/b", &"a".repeat(64)] {
            assert!(HostPattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_prefix_ends_at_a_slash() {
        let api = PathPrefix::new("api/");
        assert!(api.matches("/api") && api.matches("/api/x"));
        assert!(!api.matches("/apis") && !api.matches("/"));
        assert!(PathPrefix::root().matches("/anything"));
    }
}
