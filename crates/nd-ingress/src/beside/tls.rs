//! TLS as servers beside us speak it: where, and what is said of it in answers.

use std::net::SocketAddr;

use nd_types::{Certificate, EdgeState, Hsts};
use serde::{Deserialize, Deserializer, de};

use super::table::Host;

/// Where TLS is spoken, as it is written: an address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Https {
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl<'de> Deserialize<'de> for Https {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "off" => Ok(Self::Off),
            address => address.parse().map(Self::At).map_err(|_| {
                de::Error::custom(format!("`{address}` is neither an address as \"0.0.0.0:443\" nor \"off\""))
            }),
        }
    }
}

/// Where TLS is spoken: where it is written, otherwise beside plain HTTP where that has its usual port.
pub(crate) fn address(written: Option<Https>, http: SocketAddr) -> Option<SocketAddr> {
    match (written, http.port()) {
        (Some(Https::At(address)), _) => Some(address),
        (None, 80) => Some(SocketAddr::new(http.ip(), 443)),
        (Some(Https::Off) | None, _) => None,
    }
}

/// The certificate that visitors of a host are shown.
pub(crate) fn certificate<'s>(state: &'s EdgeState, host: &Host<'_>) -> Option<&'s Certificate> {
    state.tls.certificate(host.pattern.as_str()).map(AsRef::as_ref)
}

/// The value of Strict-Transport-Security (RFC 6797, section 6.1).
pub(crate) fn hsts(hsts: Hsts) -> String {
    let mut value = format!("max-age={}", hsts.max_age.as_secs());
    value.push_str(if hsts.include_subdomains { "; includeSubDomains" } else { "" });
    value.push_str(if hsts.preload { "; preload" } else { "" });
    value
}

/// A port as it stands in an address with TLS.
pub(crate) fn port(at: SocketAddr) -> String {
    if at.port() == 443 { String::new() } else { format!(":{}", at.port()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_stands_beside_plain_http_where_nothing_else_is_written() {
        let [usual, other, there]: [SocketAddr; 3] =
            ["192.0.2.1:80", "192.0.2.1:8000", "192.0.2.2:8443"].map(|text| text.parse().unwrap());
        assert_eq!(address(None, usual), "192.0.2.1:443".parse().ok());
        assert_eq!(address(None, other), None);
        assert_eq!(address(Some(Https::At(there)), other), Some(there));
        assert_eq!(address(Some(Https::Off), usual), None);
    }

    #[test]
    fn an_address_or_nothing_is_written_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Https>(text.into());
        assert_eq!(read("off").unwrap(), Https::Off);
        assert_eq!(read("[::]:443").unwrap(), Https::At("[::]:443".parse().unwrap()));
        assert!(read("443").unwrap_err().to_string().contains("neither an address"));
    }
}
