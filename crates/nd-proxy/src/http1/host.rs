//! The `Host` field (RFC 9110, section 7.2): what it may look like and which name routes by it.

/// The longest host name there is (RFC 1035, section 2.3.4), with room for a final dot.
const MAX_NAME: usize = 254;

/// A `Host` value that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// As it came, with its port; one that is empty is none (RFC 3986, section 3.2.3).
    pub(crate) value: &'a str,
    /// The name alone: without port and without its final dot, in the case it came in.
    pub(crate) name: &'a str,
}

impl<'a> Host<'a> {
    /// Checks a field value; `None` when it is no host with an optional port.
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let (name, port) = split_port(value)?;
        let (value, port) = if port == Some("") { (name, None) } else { (value, port) };
        let port_ok = port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok());
        let name_ok =
            !name.is_empty() && name.len() <= MAX_NAME && (is_bracketed(name) || name.bytes().all(is_name));
        let name = name.strip_suffix('.').unwrap_or(name);
        (port_ok && name_ok && !name.is_empty()).then_some(Self { value, name })
    }

    /// Calls `f` with the name in lower case, without allocating.
    pub(crate) fn with_lower_case<R>(self, f: impl FnOnce(&str) -> R) -> R {
        let mut bytes = [0u8; MAX_NAME];
        let bytes = bytes.get_mut(..self.name.len()).unwrap_or_default();
        bytes.copy_from_slice(self.name.as_bytes());
        bytes.make_ascii_lowercase();
        f(str::from_utf8(bytes).unwrap_or_default())
    }
}

/// The host that a target in absolute form names, and the port that its scheme has by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) value: &'a str,
    default_port: &'static str,
}

impl<'a> Authority<'a> {
    /// Nothing for other schemes than `http` and `https`.
    pub(crate) fn new(scheme: &str, value: &'a str) -> Option<Self> {
        let default_port = match scheme {
            scheme if scheme.eq_ignore_ascii_case("http") => ":80",
            scheme if scheme.eq_ignore_ascii_case("https") => ":443",
            _ => return None,
        };
        Some(Self { value, default_port })
    }

    /// Whether a `Host` field names the same host and port; the port that need not be written may be (RFC 9110, section
    /// 4.2.3).
    pub(crate) fn is(self, host: Host<'_>) -> bool {
        self.bare(self.value).eq_ignore_ascii_case(self.bare(host.value))
    }

    fn bare(self, value: &str) -> &str {
        value.strip_suffix(self.default_port).or_else(|| value.strip_suffix(':')).unwrap_or(value)
    }
}

fn split_port(value: &str) -> Option<(&str, Option<&str>)> {
    let after_brackets = value.rfind(']').map_or(0, |at| at + 1);
    match value.get(after_brackets..)?.split_once(':') {
        None => Some((value, None)),
        Some((before, port)) => Some((value.get(..after_brackets + before.len())?, Some(port))),
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn is_bracketed(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_taken_without_port_and_final_dot() {
        for (value, name) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "A.Example"),
            ("a.example.", "a.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("with_underscore", "with_underscore"),
            ("a.example:", "a.example"),
            ("a.example.:", "a.example"),
            ("[::1]:", "[::1]"),
        ] {
            assert_eq!(Host::parse(value).map(|h| h.name), Some(name), "{value}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(300);
        for value in [
            "", ".", ":80", "a b", "a:b", ":", "a::", "a:70000", "a:+80", "a:1:2", "a/b", "a@b", "a,b",
            "[::1", "::1", "[x]", "ä", &long,
        ] {
            assert_eq!(Host::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn lower_case_is_what_routes() {
        assert_eq!(Host::parse("APP.Example.").unwrap().with_lower_case(str::to_owned), "app.example");
    }

    #[test]
    fn an_empty_port_is_not_passed_on() {
        assert_eq!(Host::parse("a.example:").unwrap().value, "a.example");
        assert_eq!(Host::parse("a.example:80").unwrap().value, "a.example:80");
    }

    #[test]
    fn the_default_port_of_the_scheme_may_be_left_out_of_either() {
        let same =
            |scheme, target, host| Authority::new(scheme, target).unwrap().is(Host::parse(host).unwrap());
        for (scheme, target, host) in [
            ("http", "a.example:80", "A.example"),
            ("http", "a.example", "a.example:80"),
            ("HTTPS", "a.example:443", "a.example"),
            ("https", "a.example", "a.example:443"),
            ("http", "a.example:", "a.example"),
            ("http", "[::1]:80", "[::1]"),
            ("http", "a.example:8080", "a.example:8080"),
        ] {
            assert!(same(scheme, target, host), "{scheme} {target} {host}");
        }
        for (scheme, target, host) in [
            ("http", "a.example:8080", "a.example"),
            ("http", "a.example:443", "a.example"),
            ("https", "a.example:80", "a.example"),
            ("https", "a.example:80", "a.example:443"),
            ("http", "b.example", "a.example"),
            ("http", "user@a.example", "a.example"),
        ] {
            assert!(!same(scheme, target, host), "{scheme} {target} {host}");
        }
        assert_eq!(Authority::new("ftp", "a.example"), None);
    }
}
