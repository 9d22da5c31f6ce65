//! The request head as the app gets it: without what was meant for this hop, with who asked.

use std::net::IpAddr;

use super::field::Name;
use super::request::{BodyLength, RequestHead};
use crate::trust::Trust;

/// What this hop adds to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) peer: &'a PeerText,
    /// How far the peer is believed: what counts is kept and continued.
    pub(crate) trust: Trust,
    /// The client, where that is somebody else than the peer.
    pub(crate) client: Option<&'a str>,
    /// The operator's field for the client.
    pub(crate) client_field: Option<&'a str>,
    /// What the client speaks with us: `http` or `https`.
    pub(crate) scheme: &'static str,
    pub(crate) request_id: &'a str,
    /// `Host` for HTTP/1.0 requests without one.
    pub(crate) fallback_host: &'a str,
    /// The path in front of the target that was taken away.
    pub(crate) prefix: Option<&'a str>,
    /// `Authorization` was meant for us.
    pub(crate) hides_authorization: bool,
}

impl Hop<'_> {
    /// Whether the field may go on to the app as it is, unless this hop writes it itself.
    fn keeps(&self, name: &str) -> bool {
        let named = |known: &str| name.eq_ignore_ascii_case(known);
        match Name::of(name) {
            Name::Authorization => !self.hides_authorization,
            Name::ForwardedOther => {
                self.trust.is_full() && !(self.prefix.is_some() && named("x-forwarded-prefix"))
            }
            Name::ConnectingIp => self.trust.is_proxy(),
            Name::TrueClientIp => self.trust.is_full(),
            name if name.is_end_to_end() => self.trust.is_full() || !self.client_field.is_some_and(named),
            _ => false,
        }
    }

    /// Whether what the peer says in this field is believed.
    fn believes(&self, name: Name) -> bool {
        match name {
            Name::ForwardedFor | Name::ForwardedProto => self.trust.is_proxy(),
            _ => self.trust.is_full(),
        }
    }
}

/// The peer's address, written once a connection.
#[derive(Debug)]
pub(crate) struct PeerText {
    pub(crate) address: IpAddr,
    ip: Box<str>,
    /// As a node of RFC 7239, section 6, where that is something else: IPv6 in brackets and quotes.
    node: Option<Box<str>>,
}

impl PeerText {
    pub(crate) fn new(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let node = ip.is_ipv6().then(|| format!("\"[{ip}]\"").into());
        Self { address: ip, ip: ip.to_string().into(), node }
    }

    /// The address alone.
    pub(crate) fn ip(&self) -> &str {
        &self.ip
    }

    fn node(&self) -> &str {
        self.node.as_ref().unwrap_or(&self.ip)
    }
}

/// Writes the head for the app, up to and with its empty line.
pub(crate) fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, hop: Hop<'_>) {
    let host = head.host.map_or(hop.fallback_host, |host| host.value);
    put(out, &[head.method, " ", head.target, " HTTP/1.1\r\nHost: ", host, "\r\n"]);
    for field in head.fields {
        if hop.keeps(field.name) && !head.nominates(field.name) {
            put_field(out, field.name, field.value);
        }
    }
    write_framing(out, head);
    write_forwarded(out, head, host, hop);
    if let Some(prefix) = hop.prefix {
        put(out, &["X-Forwarded-Prefix: ", prefix, "\r\n"]);
    }
    put(out, &["X-Request-Id: ", hop.request_id, "\r\n\r\n"]);
}

fn write_framing(out: &mut Vec<u8>, head: &RequestHead<'_, '_>) {
    match head.body {
        BodyLength::None => {}
        BodyLength::Exactly(length) => put_length(out, length),
        BodyLength::Chunked => put(out, &["Transfer-Encoding: chunked\r\n"]),
    }
    if head.expects_continue {
        put(out, &["Expect: 100-continue\r\n"]);
    }
    if let Some(upgrade) = head.upgrade {
        put(out, &["Connection: Upgrade\r\nUpgrade: ", upgrade, "\r\n"]);
    }
}

fn write_forwarded(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, host: &str, hop: Hop<'_>) {
    let given = |name| {
        head.fields.iter().filter(move |f| hop.believes(name) && Name::of(f.name) == name).map(|f| f.value)
    };
    put(out, &["X-Forwarded-For: "]);
    put_members(out, given(Name::ForwardedFor));
    put(out, &[&hop.peer.ip, "\r\n"]);
    for (name, label, ours) in [
        (Name::ForwardedProto, "X-Forwarded-Proto", hop.scheme),
        (Name::ForwardedHost, "X-Forwarded-Host", host),
    ] {
        put_field(out, label, given(name).next().unwrap_or(ours.as_bytes()));
    }
    // Who was named elsewhere counts: a proxy that only continues `X-Forwarded-For` may pass on a visitor's `X-Real-IP`.
    let said = given(Name::RealIp).next().filter(|_| hop.client_field.is_none());
    let real = hop.client.map(str::as_bytes).or(said);
    put_field(out, "X-Real-IP", real.unwrap_or(hop.peer.ip.as_bytes()));
    put(out, &["Forwarded: "]);
    put_members(out, given(Name::Forwarded));
    put(out, &["for=", hop.peer.node(), ";host=\"", host, "\";proto=", hop.scheme, "\r\n"]);
}

fn put_members<'v>(out: &mut Vec<u8>, values: impl Iterator<Item = &'v [u8]>) {
    for value in values {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

/// Appends texts.
pub(crate) fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut rest) = ([b'0'; 20], number);
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// Appends the line that says how long a body is.
pub(crate) fn put_length(out: &mut Vec<u8>, length: u64) {
    put(out, &["Content-Length: "]);
    put_number(out, length);
    put(out, &["\r\n"]);
}

/// Appends a field line.
pub(crate) fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::request::field_space;
    use super::*;

    fn forwarded(head: &str, trust: Trust) -> String {
        let mut space = field_space();
        let head = RequestHead::parse(head.as_bytes(), &mut space).unwrap();
        let peer = PeerText::new("192.0.2.7".parse().unwrap());
        let mut out = Vec::new();
        write_request(
            &mut out,
            &head,
            Hop {
                peer: &peer,
                trust,
                client: None,
                client_field: None,
                request_id: "r1",
                fallback_host: "shop",
                prefix: None,
                scheme: "http",
                hides_authorization: false,
            },
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_says_who_asked_and_nothing_a_client_made_up() {
        let out = forwarded(
            "GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
             x-real-ip: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nX-Request-Id: \"bad\r\n\r\n",
            Trust::No,
        );
        assert_eq!(
            out,
            "GET /x?y HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-Host: a.example\r\nX-Real-IP: 192.0.2.7\r\n\
             Forwarded: for=192.0.2.7;host=\"a.example\";proto=http\r\nX-Request-Id: r1\r\n\r\n"
        );
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_continued() {
        let out = forwarded(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.1.1.1\r\n\r\n",
            Trust::Full,
        );
        for line in [
            "X-Forwarded-For: 1.1.1.1, 192.0.2.7",
            "X-Forwarded-Proto: https",
            "Forwarded: for=1.1.1.1, for=192.0.2.7",
        ] {
            assert!(out.contains(line), "{line} in {out}");
        }
    }

    #[test]
    fn what_is_meant_for_this_hop_ends_here() {
        let out = forwarded(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Private, Host, Content-Length\r\nX-Private: 1\r\nKeep-Alive: 5\r\n\
             TE: trailers\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nContent-Length: 3\r\n\
             Cookie: a=b\r\n\r\n",
            Trust::No,
        );
        for name in
            ["X-Private", "Keep-Alive", "TE:", "Proxy-Connection", "Upgrade", "HTTP2-Settings", "Connection"]
        {
            assert!(!out.contains(name), "{name} in {out}");
        }
        for line in ["Host: a\r\n", "Content-Length: 3\r\n", "Cookie: a=b\r\n"] {
            assert!(out.contains(line), "{line} in {out}");
        }
    }

    #[test]
    fn an_ipv6_peer_is_quoted_in_forwarded() {
        assert_eq!(PeerText::new("2001:db8::1".parse().unwrap()).node(), "\"[2001:db8::1]\"");
        assert_eq!(PeerText::new("::ffff:192.0.2.1".parse().unwrap()).node(), "192.0.2.1");
    }
}
