//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`, sections 2.1 and 2.2): how a balancer in front
//! introduces the client whose bytes follow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest header of version 1, its CRLF included.
const LONGEST_V1: usize = 107;
/// More than any header of version 2 needs, extensions included.
const LONGEST_V2: usize = 4096;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a header of version 2 before its addresses.
const FIXED_V2: usize = 16;
/// The extension that tells of TLS (section 2.2.6), and the bit in it that says the client has come with it.
const TLS: u8 = 0x20;
const CLIENT_TLS: u8 = 1;

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// Too few bytes to tell.
    Open,
    /// A header of so many bytes, and whom it introduces.
    Of(usize, Introduced),
    /// No header, or a broken one.
    Invalid,
}

/// Whose bytes follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Introduced {
    /// Nobody where the balancer speaks for itself.
    pub(crate) client: Option<IpAddr>,
    /// It has come with TLS, which the balancer has taken off.
    pub(crate) is_tls: bool,
}

/// Reads the header at the front of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Introduction {
    if SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(bytes) {
        Introduction::Open
    } else if bytes.starts_with(SIGNATURE) {
        read_v2(bytes)
    } else if bytes.starts_with(b"PROXY ") {
        read_v1(bytes)
    } else {
        Introduction::Invalid
    }
}

fn read_v1(bytes: &[u8]) -> Introduction {
    let limit = bytes.get(..LONGEST_V1).unwrap_or(bytes);
    let Some(end) = memchr::memmem::find(limit, b"\r\n") else {
        return if limit.len() < LONGEST_V1 { Introduction::Open } else { Introduction::Invalid };
    };
    let line = bytes.get(..end).and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", "TCP4", from, to, ports @ ..] => v1_address::<Ipv4Addr>(from, to, ports).map(Some),
        ["PROXY", "TCP6", from, to, ports @ ..] => v1_address::<Ipv6Addr>(from, to, ports).map(Some),
        _ => None,
    };
    let introduced = |client| Introduction::Of(end + 2, Introduced { client, is_tls: false });
    client.map_or(Introduction::Invalid, introduced)
}

fn v1_address<A: std::str::FromStr + Into<IpAddr>>(from: &str, to: &str, ports: &[&str]) -> Option<IpAddr> {
    let is_port = |port: &&str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let are_ports = ports.len() == 2 && ports.iter().all(is_port);
    let (from, _) = (from.parse::<A>().ok()?, to.parse::<A>().ok()?);
    are_ports.then(|| from.into())
}

fn read_v2(bytes: &[u8]) -> Introduction {
    let Some(&[kind, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED_V2) else {
        return Introduction::Open;
    };
    let length = FIXED_V2 + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 {
        return Introduction::Invalid;
    }
    let Some(addresses) = bytes.get(FIXED_V2..length) else { return Introduction::Open };
    match (kind, family) {
        (0x20, _) => Introduction::Of(length, Introduced::default()), // LOCAL: the balancer's own probe
        (0x21, 0x11) => v2_address::<4, 12>(addresses, length),
        (0x21, 0x21) => v2_address::<16, 36>(addresses, length),
        (0x21, 0x00) => Introduction::Of(length, Introduced::default()),
        _ => Introduction::Invalid,
    }
}

/// The first address of a block of `BLOCK` bytes.
fn v2_address<const SIZE: usize, const BLOCK: usize>(addresses: &[u8], length: usize) -> Introduction
where
    IpAddr: From<[u8; SIZE]>,
{
    match (addresses.first_chunk::<SIZE>(), addresses.get(BLOCK..)) {
        (Some(client), Some(extensions)) => {
            let client = Some(IpAddr::from(*client));
            Introduction::Of(length, Introduced { client, is_tls: tells_of_tls(extensions) })
        }
        _ => Introduction::Invalid,
    }
}

/// Whether one of the extensions says that the client has come with TLS. What cannot be read says nothing.
fn tells_of_tls(mut extensions: &[u8]) -> bool {
    while let [kind, high, low, rest @ ..] = extensions {
        let Some((value, next)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))
        else {
            return false;
        };
        if *kind == TLS {
            return value.first().is_some_and(|client| client & CLIENT_TLS != 0);
        }
        extensions = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(kind: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[kind, family], &length, addresses].concat()
    }

    #[test]
    fn a_client_is_introduced_however_slowly() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0, 80, 0, 81];
        let six = [&[0x20, 1, 0xd, 0xb8], [0; 32].as_slice()].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::1 ::1 5000 80\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(0x21, 0x11, &four), Some("192.0.2.7")),
            (v2(0x21, 0x11, &[four.as_slice(), &[3, 0, 1, 9]].concat()), Some("192.0.2.7")),
            (v2(0x21, 0x21, &six), Some("2001:db8::")),
            (v2(0x20, 0, b""), None),
        ] {
            for length in 0..header.len() {
                assert_eq!(read(header.get(..length).unwrap()), Introduction::Open, "{length}");
            }
            let client = client.map(|client| client.parse().unwrap());
            let introduced = Introduced { client, is_tls: false };
            let bytes = [header.as_slice(), b"GET / HTTP/1.1"].concat();
            assert_eq!(read(&bytes), Introduction::Of(header.len(), introduced));
        }
    }

    #[test]
    fn a_balancer_may_say_that_its_client_has_come_with_tls() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0, 80, 0, 81];
        for (extensions, expected) in [
            (&[0x20, 0, 5, 1, 0, 0, 0, 0][..], true),
            (&[4, 0, 2, 9, 9, 0x20, 0, 5, 5, 0, 0, 0, 0], true),
            (&[0x20, 0, 5, 0, 0, 0, 0, 0], false),
            (&[0x20, 0, 0], false),
            (&[0x20, 0, 9, 1], false),
            (&[4, 0xff, 0xff, 0x20, 0, 5, 1, 0, 0, 0, 0], false),
            (&[0x20], false),
        ] {
            let header = v2(0x21, 0x11, &[&four, extensions].concat());
            let Introduction::Of(_, introduced) = read(&header) else { unreachable!("{extensions:?}") };
            assert_eq!(introduced.is_tls, expected, "{extensions:?}");
        }
    }

    #[test]
    fn what_is_no_introduction_is_invalid() {
        for header in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 5000\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +5 80\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 5000 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 99999\r\n".to_vec(),
            [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 107]].concat(),
            v2(0x21, 0x11, &[1; 11]),
            v2(0x21, 0x12, &[1; 12]),
            v2(0x31, 0x11, &[1; 12]),
            v2(0x22, 0x11, &[1; 12]),
            v2(0x21, 0x11, &[1; 5000]),
        ] {
            assert_eq!(read(&header), Introduction::Invalid, "{:?}", String::from_utf8_lossy(&header));
        }
    }
}
