//! What the operator may choose.

mod access_log;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nd_types::{FieldName, HostPattern, Network};
use serde::{Deserialize, Deserializer, de};

pub use access_log::AccessLog;

use crate::trust::{Trust, TrustedProxy};

/// Settings of the data plane. Durations are written as `10s` or `1m30s`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where plain HTTP is served, for all apps by host and path. Port 0: the system chooses.
    pub http: SocketAddr,
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// Client connections open at once, over all workers. Never more than the process's file descriptors allow.
    pub max_connections: usize,
    /// Largest request or response head in bytes; the interim heads of an answer count with its last one.
    pub max_head_bytes: usize,
    /// From the first byte of a request head to its last; then 408.
    #[serde(deserialize_with = "duration")]
    pub header_read_timeout: Duration,
    /// How long a connection may stay open between requests.
    #[serde(deserialize_with = "duration")]
    pub keep_alive_timeout: Duration,
    /// How long a request body may pause; then 408.
    #[serde(deserialize_with = "duration")]
    pub body_idle_timeout: Duration,
    /// How long a client may leave an answer unread; then the connection is reset.
    #[serde(deserialize_with = "duration")]
    pub send_timeout: Duration,
    /// How long an app may pause within an answer. Event streams may pause as long as they like.
    #[serde(deserialize_with = "duration")]
    pub response_idle_timeout: Duration,
    /// How long connecting to an app may take.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// How long an idle connection to an app is kept. Shorter than what common servers allow (Node.js: 5 s), so that no
    /// request meets a connection that is being closed.
    #[serde(deserialize_with = "duration")]
    pub upstream_idle_timeout: Duration,
    /// Proxies in front of this one, as `10.0.0.0/8`, `192.0.2.1` or `cloudflare`: what they say about the client is
    /// believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The field in which they name the client, instead of `X-Forwarded-For`. From anybody else it does not reach an app.
    pub client_ip_header: Option<FieldName>,
    /// Whose routes count for requests to a host that nobody serves, or without one; nobody's: they get 404.
    pub default_host: Option<HostPattern>,
    /// Balancers that begin each connection with a header of the PROXY protocol, version 1 or 2. One that does not is
    /// closed; from anybody else such a header is no request. Raw host ports pass it on.
    pub proxy_protocol: Vec<Network>,
    /// Whether each request leaves an access record, and how whoever takes the records writes them down.
    pub access_log: AccessLog,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([0, 0, 0, 0], 80)),
            workers: 0,
            max_connections: 20_000,
            max_head_bytes: 64 * 1024,
            header_read_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            response_idle_timeout: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(5),
            upstream_idle_timeout: Duration::from_secs(4),
            trusted_proxies: Vec::new(),
            client_ip_header: None,
            default_host: None,
            proxy_protocol: Vec::new(),
            access_log: AccessLog::default(),
        }
    }
}

impl Settings {
    /// How many workers to start.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }

    /// How many client connections one of `workers` may have: each may need a connection to an app as well, and some
    /// descriptors are for everything else.
    pub(crate) fn connections_per_worker(&self, workers: usize) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let descriptors = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let allowed = descriptors.saturating_sub(64) / 2;
        (self.max_connections.min(allowed) / workers.max(1)).max(8)
    }

    /// Whether a peer says whose connection it is.
    pub(crate) fn is_introduced_by(&self, peer: IpAddr) -> bool {
        self.proxy_protocol.iter().any(|network| network.contains(peer))
    }

    /// How far a peer is believed.
    pub(crate) fn trust(&self, peer: IpAddr) -> Trust {
        Trust::of(peer, &self.trusted_proxies)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    nd_types::parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_toml_and_unknown_keys_refused() {
        let read = |text: &str| toml::from_str::<Settings>(text);
        let settings =
            read("http = '127.0.0.1:8080'\nheader_read_timeout = '3s'\ntrusted_proxies = ['10.0.0.0/8']")
                .unwrap();
        assert_eq!(settings.header_read_timeout, Duration::from_secs(3));
        assert_eq!(settings.keep_alive_timeout, Settings::default().keep_alive_timeout);
        assert_eq!(settings.trust("10.0.0.1".parse().unwrap()), Trust::Full);
        assert!(read("htpp = '127.0.0.1:8080'").is_err());
        assert!(read("header_read_timeout = 3").is_err());
    }
}
