//! The `Host` field (RFC 9110, section 7.2): what it may look like and which name routes by it.

/// The longest host name there is (RFC 1035, section 2.3.4), with room for a final dot.
const MAX_NAME: usize = 254;

/// A `Host` value that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// As it came, with its port.
    pub(crate) value: &'a str,
    /// The name alone: without port and without its final dot, in the case it came in.
    pub(crate) name: &'a str,
}

impl<'a> Host<'a> {
    /// Checks a field value; `None` when it is no host with an optional port.
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let (name, port) = split_port(value)?;
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

/// Whether two authorities name the same host and port; the ports that need not be written may be.
pub(crate) fn same_authority(a: &str, b: &str) -> bool {
    bare(a).eq_ignore_ascii_case(bare(b))
}

fn bare(authority: &str) -> &str {
    authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443")).unwrap_or(authority)
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
        ] {
            assert_eq!(Host::parse(value).map(|h| h.name), Some(name), "{value}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(300);
        for value in [
            "", ".", ":80", "a b", "a:b", "a:", "a:70000", "a:+80", "a:1:2", "a/b", "a@b", "a,b", "[::1",
            "::1", "[x]", "ä", &long,
        ] {
            assert_eq!(Host::parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn lower_case_is_what_routes() {
        assert_eq!(Host::parse("APP.Example.").unwrap().with_lower_case(str::to_owned), "app.example");
    }

    #[test]
    fn the_default_port_may_be_left_out_of_an_authority() {
        assert!(same_authority("a.example:80", "A.example"));
        assert!(!same_authority("a.example:8080", "a.example"));
        assert!(!same_authority("b.example", "a.example"));
    }
}
