//! Where a daemon is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a daemon is: `unix:///run/nextdeploy/nextdeployd.sock` or `http://127.0.0.1:8371`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Its control socket.
    Unix(PathBuf),
    /// Its TCP port; `host:port`, with brackets around an IPv6 address.
    Http(String),
}

/// Why a text does not say where a daemon is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// Another scheme, or none.
    #[error("`{0}` does not say where a daemon is; write `unix:///PATH` or `http://ADDRESS:PORT`")]
    Scheme(String),
    /// A socket without an absolute path.
    #[error("`{0}` must name an absolute path; write `unix:///run/nextdeploy/nextdeployd.sock`")]
    Relative(String),
    /// Not an address and port.
    #[error("`{0}` must name an address and at most a port; write `http://127.0.0.1:8371`")]
    Authority(String),
}

/// The port the API listens on where none is written.
const PORT: u16 = 8371;

impl Host {
    /// Whether the daemon surely runs on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Http(authority) => {
                let name = split(authority).map_or("", |(name, _)| name);
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
        }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if let Some(path) = s.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err(InvalidHost::Relative(s.to_owned()))
            };
        }
        let Some(rest) = s.strip_prefix("http://").or_else(|| s.strip_prefix("tcp://")) else {
            return Err(InvalidHost::Scheme(s.to_owned()));
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (name, port) = split(authority).ok_or_else(|| InvalidHost::Authority(s.to_owned()))?;
        let bracketed = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        Ok(Self::Http(format!("{bracketed}:{}", port.unwrap_or(PORT))))
    }
}

/// Name (without brackets) and port of an authority (RFC 3986, section 3.2) that has no user.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (name, rest) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            name.parse::<std::net::Ipv6Addr>().ok()?;
            (name, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
    if name.is_empty() || !plain {
        return None;
    }
    match rest.strip_prefix(':') {
        Some(port) => Some((name, Some(port.parse().ok().filter(|port| *port > 0)?))),
        None => rest.is_empty().then_some((name, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_reads_back_as_it_is_written() {
        for text in ["unix:///run/nd.sock", "http://127.0.0.1:8371", "http://[::1]:80", "http://vps-1:9000"] {
            assert_eq!(text.parse::<Host>().map(|host| host.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("http://localhost/".parse::<Host>(), Ok(Host::Http("localhost:8371".to_owned())));
    }

    #[test]
    fn what_says_no_place_is_refused() {
        for bad in [
            "",
            "vps-1",
            "https://x",
            "ssh://u@h",
            "unix://relative",
            "http://",
            "http://a:0",
            "http://a:70000",
            "http://u@h:1",
            "http://a/b",
            "http://[::1",
            "http://a:b",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_sockets_and_loopback_are_surely_local() {
        for (text, local) in [
            ("unix:///a", true),
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://192.0.2.1", false),
            ("http://vps-1", false),
        ] {
            assert_eq!(text.parse::<Host>().map(|host| host.is_local()), Ok(local), "{text}");
        }
    }
}
