//! A server that something else runs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::HostPattern;

/// Where a server that something else runs is reached: `127.0.0.1:4000`, `[::1]:4000`, `db.internal:8080`. It is asked in
/// plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upstream {
    host: UpstreamHost,
    port: NonZeroU16,
}

/// The machine that an [`Upstream`] names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamHost {
    /// By its address.
    Address(IpAddr),
    /// By a name that is looked up.
    Name(Box<str>),
}

/// Why a text does not say where a server is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstream {
    /// It has the form of a web address.
    #[error("`{0}` must not have a scheme or a path; write `127.0.0.1:4000` (it is asked in plain HTTP)")]
    Url(String),
    /// The port is missing.
    #[error("`{0}` has no port; write it as `{0}:4000`")]
    NoPort(String),
    /// An address that stands for all of a machine, where nothing can be reached.
    #[error(
        "nothing can be reached at `{0}`; write the address that the server listens on, as in `127.0.0.1:4000`"
    )]
    NoPlace(String),
    /// Any other foreign form.
    #[error(
        "`{0}` is not the address of a server; write it as `127.0.0.1:4000`, `[::1]:4000` or `db.internal:8080`"
    )]
    Form(String),
}

impl Upstream {
    /// The machine.
    #[must_use]
    pub fn host(&self) -> &UpstreamHost {
        &self.host
    }

    /// The port on it.
    #[must_use]
    pub fn port(&self) -> NonZeroU16 {
        self.port
    }

    fn at(address: SocketAddr, text: &str) -> Result<Self, InvalidUpstream> {
        let port =
            NonZeroU16::new(address.port()).ok_or_else(|| InvalidUpstream::NoPlace(text.to_owned()))?;
        let ip = address.ip();
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(InvalidUpstream::NoPlace(text.to_owned()));
        }
        Ok(Self { host: UpstreamHost::Address(ip), port })
    }
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || InvalidUpstream::Form(text.to_owned());
        if text.contains('/') {
            return Err(InvalidUpstream::Url(text.to_owned()));
        }
        if let Ok(address) = text.parse() {
            return Self::at(address, text);
        }
        let Some((name, port)) = text.rsplit_once(':') else {
            let is_host = text.parse::<IpAddr>().is_ok() || HostPattern::new(text).is_ok();
            return Err(if is_host { InvalidUpstream::NoPort(text.to_owned()) } else { form() });
        };
        let name = HostPattern::new(name).map_err(|_| form())?;
        // What ends in a number is an address that is not one (WHATWG URL, section 3.5).
        let is_number =
            name.as_str().rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits && !is_number).ok_or_else(form)?;
        Ok(Self { host: UpstreamHost::Name(name.as_str().into()), port })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            UpstreamHost::Address(ip) => SocketAddr::new(*ip, self.port.get()).fmt(f),
            UpstreamHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl TryFrom<String> for Upstream {
    type Error = InvalidUpstream;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Upstream> for String {
    fn from(upstream: Upstream) -> Self {
        upstream.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_with_a_port_are_read_and_written_alike() {
        for text in ["127.0.0.1:4000", "[::1]:4000", "localhost:80", "db.internal:65535"] {
            assert_eq!(text.parse::<Upstream>().map(|upstream| upstream.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("DB.Internal.:1".parse::<Upstream>().unwrap().to_string(), "db.internal:1");
    }

    #[test]
    fn what_is_no_place_says_how_to_write_one() {
        use InvalidUpstream::{Form, NoPlace, NoPort, Url};
        type Why = fn(String) -> InvalidUpstream;
        let wrong: [(&str, Why); 14] = [
            ("http://127.0.0.1:4000", Url),
            ("127.0.0.1:4000/path", Url),
            ("127.0.0.1", NoPort),
            ("::1", Form),
            ("localhost", NoPort),
            ("0.0.0.0:4000", NoPlace),
            ("[::]:4000", NoPlace),
            ("127.0.0.1:0", NoPlace),
            ("localhost:0", Form),
            ("localhost:+80", Form),
            ("127.0.0.300:80", Form),
            ("a b:80", Form),
            (":4000", Form),
            ("", Form),
        ];
        for (text, why) in wrong {
            assert_eq!(text.parse::<Upstream>(), Err(why(text.to_owned())), "{text}");
        }
    }
}
