//! Where an engine listens.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::EngineError;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket of this machine.
    Socket(PathBuf),
    /// `host:port`, without TLS.
    Tcp(String),
}

impl Address {
    const DEFAULT: &str = "/var/run/docker.sock";

    /// What the environment says, as the docker command reads it.
    pub(crate) fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, EngineError> {
        let text = |name| lookup(name).filter(|value| !value.is_empty());
        let address = text("DOCKER_HOST")
            .map_or_else(|| Ok(Self::Socket(Self::DEFAULT.into())), |host| Self::parse(&host))?;
        match address {
            Self::Tcp(host) if text("DOCKER_TLS_VERIFY").is_some() => {
                Err(unusable(&format!("tcp://{host}"), "TLS to an engine is not supported"))
            }
            address => Ok(address),
        }
    }

    /// Reads `unix:///path`, `/path`, `tcp://host:port` or `http://host:port`.
    pub(crate) fn parse(host: &str) -> Result<Self, EngineError> {
        let socket = host.strip_prefix("unix://").unwrap_or(host);
        if socket.starts_with('/') {
            return Ok(Self::Socket(socket.into()));
        }
        let Some(tcp) = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) else {
            return Err(unusable(host, "only `unix:///path` and `tcp://host:port` are supported"));
        };
        let tcp = tcp.trim_end_matches('/');
        let port = tcp.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        match port {
            Some(_) => Ok(Self::Tcp(tcp.to_owned())),
            None if tcp.is_empty() => Err(unusable(host, "it names no host")),
            None => Ok(Self::Tcp(format!("{tcp}:2375"))),
        }
    }

    /// Whether it is a socket of this machine.
    pub(crate) fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

fn unusable(address: &str, why: &str) -> EngineError {
    EngineError::Absent { address: address.to_owned(), source: Arc::new(io::Error::other(why.to_owned())) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_env(pairs: &[(&str, &str)]) -> Result<Address, EngineError> {
        Address::from_env(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_docker_host_it_is_the_usual_socket() {
        assert_eq!(from_env(&[]).unwrap().to_string(), "unix:///var/run/docker.sock");
        assert_eq!(from_env(&[("DOCKER_HOST", "")]).unwrap().to_string(), "unix:///var/run/docker.sock");
    }

    #[test]
    fn docker_host_names_a_socket_or_a_port() {
        assert_eq!(
            from_env(&[("DOCKER_HOST", "unix:///run/x.sock")]).unwrap(),
            Address::Socket("/run/x.sock".into())
        );
        assert_eq!(
            from_env(&[("DOCKER_HOST", "tcp://10.0.0.5")]).unwrap(),
            Address::Tcp("10.0.0.5:2375".into())
        );
        assert_eq!(Address::parse("tcp://[::1]:99/").unwrap(), Address::Tcp("[::1]:99".into()));
    }

    #[test]
    fn what_cannot_be_spoken_is_named() {
        for host in ["ssh://me@host", "fd://", "npipe:////./pipe/docker_engine", "tcp://"] {
            let error = Address::parse(host).unwrap_err().to_string();
            assert!(error.contains(host), "{error}");
        }
        assert!(from_env(&[("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1")]).is_err());
    }
}
