//! Ports and the mapping of host ports to an app.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use nd_types::HostPortProtocol;
use serde::{Deserialize, Serialize};

/// A TCP port, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u16")]
pub struct Port(NonZeroU16);

/// Why something is not a port or a mapping of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// Not a number from 1 to 65535.
    #[error("port must be 1–65535, found {0}")]
    Range(String),
    /// Not the form of a mapping.
    #[error("must be \"HOST:CONTAINER\", found {0}")]
    Mapping(String),
    /// The address before the ports is none.
    #[error("`{0}` is not an IP address; write the mapping as \"127.0.0.1:HOST:CONTAINER\"")]
    Address(String),
}

impl Port {
    /// Takes a number as a port, unless it is 0.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Port {
    type Err = InvalidPort;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let port = if digits { s.parse().ok() } else { None };
        port.map(Self).ok_or_else(|| InvalidPort::Range(s.to_owned()))
    }
}

impl TryFrom<i64> for Port {
    type Error = InvalidPort;
    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let port = u16::try_from(number).ok().and_then(Self::new);
        port.ok_or_else(|| InvalidPort::Range(number.to_string()))
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.get()
    }
}

/// A port of the host that leads to the app: `3000:3000`, `0.0.0.0:8080:80`, `5432:5432/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortMapping {
    /// The address to listen on, where one is written.
    pub address: Option<IpAddr>,
    /// The port of the host.
    pub host: Port,
    /// The port of the app.
    pub container: Port,
    /// What is spoken on it, where it is written.
    pub protocol: Option<HostPortProtocol>,
}

impl PortMapping {
    /// Where the host listens: the address that was written, else this host alone (127.0.0.1).
    #[must_use]
    pub fn bind(&self) -> SocketAddr {
        SocketAddr::new(self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.host.get())
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        write!(f, "{}:{}", self.host, self.container)?;
        match self.protocol {
            Some(HostPortProtocol::Http) => f.write_str("/http"),
            Some(HostPortProtocol::Tcp) => f.write_str("/tcp"),
            None => Ok(()),
        }
    }
}

impl FromStr for PortMapping {
    type Err = InvalidPort;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let form = || InvalidPort::Mapping(format!("{s:?}"));
        let (ports, protocol) = match s.split_once('/') {
            None => (s, None),
            Some((ports, "tcp")) => (ports, Some(HostPortProtocol::Tcp)),
            Some((ports, "http")) => (ports, Some(HostPortProtocol::Http)),
            Some(_) => return Err(form()),
        };
        let (rest, container) = ports.rsplit_once(':').ok_or_else(form)?;
        let (address, host) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, host)) => (Some(parse_address(address)?), host),
        };
        Ok(Self { address, host: host.parse()?, container: container.parse()?, protocol })
    }
}

impl TryFrom<String> for PortMapping {
    type Error = InvalidPort;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<PortMapping> for String {
    fn from(mapping: PortMapping) -> Self {
        mapping.to_string()
    }
}

fn parse_address(text: &str) -> Result<IpAddr, InvalidPort> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| InvalidPort::Address(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        assert_eq!("3000".parse::<Port>().map(Port::get), Ok(3000));
        for bad in ["0", "65536", "70000", "-1", "+80", "3000x", "", " 80"] {
            assert_eq!(bad.parse::<Port>(), Err(InvalidPort::Range(bad.to_owned())));
        }
        let error = serde_json::from_str::<Port>("70000").unwrap_err();
        assert!(error.to_string().starts_with("port must be 1–65535, found 70000"), "{error}");
    }

    #[test]
    fn a_mapping_reads_back_as_it_is_written() {
        for text in ["80:3000", "0.0.0.0:3000:3000", "[::1]:80:80", "5432:5432/tcp", "80:80/http"] {
            assert_eq!(text.parse::<PortMapping>().map(|m| m.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_mapping_listens_on_this_host_alone_unless_an_address_is_written() {
        assert_eq!("80:3000".parse::<PortMapping>().unwrap().bind().to_string(), "127.0.0.1:80");
        assert_eq!("0.0.0.0:80:3000".parse::<PortMapping>().unwrap().bind().to_string(), "0.0.0.0:80");
    }

    #[test]
    fn a_half_mapping_is_refused() {
        for bad in ["3000", "", ":", "80:", ":80", "a:80:80", "80:80/udp", "0:80", "80:70000", "80:80/"] {
            assert!(bad.parse::<PortMapping>().is_err(), "{bad}");
        }
    }
}
