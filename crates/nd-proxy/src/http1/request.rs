//! A request head, checked so strictly that no two readers can understand it differently (RFC 9112, sections 2 to 6).

use std::mem::MaybeUninit;

use super::field::{Name, members};
use super::host::{Authority, Host};

/// More fields than this are refused.
pub(crate) const MAX_FIELDS: usize = 100;

/// Room for the fields of one head, on the caller's stack.
pub(crate) type FieldSpace<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

/// Empty room for fields.
pub(crate) fn field_space<'b>() -> FieldSpace<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// A request head in the bytes it came in.
#[derive(Debug)]
pub(crate) struct RequestHead<'h, 'b> {
    pub(crate) method: &'b str,
    /// Path and query in origin form (or `*`), whatever form came in.
    pub(crate) target: &'b str,
    /// HTTP/1.0: no chunked answer, no persistent connection unless asked for.
    pub(crate) is_http10: bool,
    /// Absent in HTTP/1.0 alone.
    pub(crate) host: Option<Host<'b>>,
    pub(crate) body: BodyLength,
    /// The client is willing to send another request on this connection.
    pub(crate) keep_alive: bool,
    /// The protocol the client offers to switch to, `Connection: upgrade` included; never h2c.
    pub(crate) upgrade: Option<&'b str>,
    pub(crate) expects_continue: bool,
    pub(crate) accepts_html: bool,
    /// It says which content codings it accepts.
    pub(crate) accepts_encoding: bool,
    /// A well-formed `X-Request-Id`.
    pub(crate) request_id: Option<&'b str>,
    pub(crate) user_agent: &'b [u8],
    pub(crate) referer: &'b [u8],
    /// Some field besides the usual ones is named by `Connection`.
    pub(crate) has_nominated: bool,
    pub(crate) fields: &'h [httparse::Header<'b>],
}

/// How a request's body is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    None,
    Exactly(u64),
    Chunked,
}

impl BodyLength {
    /// Whether nothing follows the head.
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Exactly(0))
    }
}

/// Why a head is refused, and with which status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// What is wrong, for the client.
    pub(crate) reason: &'static str,
}

const fn bad(reason: &'static str) -> Refused {
    Refused { status: 400, reason }
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Reads a complete head, whose lines are known to end in CRLF.
    pub(crate) fn parse(bytes: &'b [u8], space: &'h mut FieldSpace<'b>) -> Result<Self, Refused> {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, space) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(bad("the request head is malformed")),
            Err(error) => return Err(refused(error, bytes)),
        }
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(bad("the request line is malformed"));
        };
        let facts = Facts::collect(parsed.headers)?;
        let is_http10 = version == 0;
        let (target, authority) = split_target(method, target)?;
        let host = facts.host(is_http10, authority)?;
        let body = facts.body(is_http10)?;
        Ok(Self {
            method,
            target,
            is_http10,
            host,
            body,
            keep_alive: !facts.close && (!is_http10 || facts.keep_alive),
            upgrade: facts.upgrade.filter(|_| facts.upgrade_nominated && !is_http10 && body.is_empty()),
            expects_continue: facts.expects_continue && !is_http10 && !body.is_empty(),
            accepts_html: facts.accepts_html,
            accepts_encoding: facts.accepts_encoding,
            request_id: facts.request_id,
            user_agent: facts.user_agent,
            referer: facts.referer,
            has_nominated: facts.has_nominated,
            fields: parsed.headers,
        })
    }

    /// The target's path, without its query.
    pub(crate) fn path(&self) -> &'b str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// Whether asking twice does no more than asking once (RFC 9110, section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }

    /// Whether `Connection` names this field, so that it ends at this hop.
    pub(crate) fn nominates(&self, name: &str) -> bool {
        self.has_nominated && nominated_by(self.fields, name)
    }
}

/// Whether some `Connection` field names `name` (RFC 9110, section 7.6.1).
pub(crate) fn nominated_by(fields: &[httparse::Header<'_>], name: &str) -> bool {
    fields
        .iter()
        .filter(|field| Name::of(field.name) == Name::Connection)
        .any(|field| members(text(field.value)).any(|member| member.eq_ignore_ascii_case(name)))
}

/// A field value as text; values that are not UTF-8 have no meaning to us.
pub(crate) fn text(value: &[u8]) -> &str {
    str::from_utf8(value).unwrap_or_default()
}

/// The members of a `Connection` field that have a meaning of their own.
pub(crate) fn is_usual_connection_option(member: &str) -> bool {
    ["close", "keep-alive", "upgrade", "te", "http2-settings"]
        .iter()
        .any(|usual| member.eq_ignore_ascii_case(usual))
}

#[derive(Default)]
struct Facts<'b> {
    host: Option<&'b [u8]>,
    length: Option<&'b [u8]>,
    coding: Option<&'b [u8]>,
    close: bool,
    keep_alive: bool,
    upgrade_nominated: bool,
    has_nominated: bool,
    upgrade: Option<&'b str>,
    expects_continue: bool,
    accepts_html: bool,
    accepts_encoding: bool,
    request_id: Option<&'b str>,
    user_agent: &'b [u8],
    referer: &'b [u8],
}

impl<'b> Facts<'b> {
    fn collect(fields: &[httparse::Header<'b>]) -> Result<Self, Refused> {
        let mut facts = Self::default();
        for field in fields {
            match Name::of(field.name) {
                Name::Host => {
                    once(&mut facts.host, field.value, "more than one Host field")?;
                }
                Name::ContentLength => {
                    once(&mut facts.length, field.value, "more than one Content-Length field")?;
                }
                Name::TransferEncoding => {
                    once(&mut facts.coding, field.value, "more than one Transfer-Encoding field")?;
                }
                Name::Connection => facts.connection(text(field.value)),
                Name::Upgrade => facts.upgrade(text(field.value)),
                Name::Expect => {
                    if !text(field.value).eq_ignore_ascii_case("100-continue") {
                        return Err(Refused { status: 417, reason: "only 100-continue can be expected" });
                    }
                    facts.expects_continue = true;
                }
                Name::Accept => facts.accepts_html |= accepts_html(field.value),
                Name::AcceptEncoding => facts.accepts_encoding = true,
                Name::UserAgent => facts.user_agent = field.value,
                Name::Referer => facts.referer = field.value,
                Name::RequestId => facts.request_id = Some(text(field.value)).filter(|id| is_request_id(id)),
                _ => {}
            }
        }
        Ok(facts)
    }

    fn connection(&mut self, value: &str) {
        for member in members(value) {
            self.close |= member.eq_ignore_ascii_case("close");
            self.keep_alive |= member.eq_ignore_ascii_case("keep-alive");
            self.upgrade_nominated |= member.eq_ignore_ascii_case("upgrade");
            self.has_nominated |= !is_usual_connection_option(member);
        }
    }

    /// An offer of h2c is never passed on: the tunnel would carry requests nobody has checked.
    fn upgrade(&mut self, value: &'b str) {
        let is_h2c =
            |member: &str| member.split('/').next().is_some_and(|name| name.eq_ignore_ascii_case("h2c"));
        self.upgrade =
            Some(value).filter(|v| self.upgrade.is_none() && !v.is_empty() && !members(v).any(is_h2c));
    }

    fn host(&self, is_http10: bool, authority: Option<Authority<'b>>) -> Result<Option<Host<'b>>, Refused> {
        let host = match self.host {
            Some(value) => Some(Host::parse(text(value)).ok_or(bad("the Host field is not a host"))?),
            None if is_http10 => None,
            None => return Err(bad("the Host field is missing")),
        };
        match (authority, host) {
            (None, host) => Ok(host),
            (Some(authority), Some(host)) if authority.is(host) => Ok(Some(host)),
            (Some(_), Some(_)) => Err(bad("the request target names another host than the Host field")),
            (Some(authority), None) => {
                Ok(Some(Host::parse(authority.value).ok_or(bad("the request target names no valid host"))?))
            }
        }
    }

    fn body(&self, is_http10: bool) -> Result<BodyLength, Refused> {
        match (self.coding, self.length) {
            (None, None) => Ok(BodyLength::None),
            (Some(_), Some(_)) => Err(bad("both Content-Length and Transfer-Encoding are given")),
            (Some(_), None) if is_http10 => Err(bad("Transfer-Encoding is not part of HTTP/1.0")),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(BodyLength::Chunked),
            (Some(_), None) => Err(bad("the only supported Transfer-Encoding is chunked")),
            (None, Some(length)) => match decimal(length) {
                Some(length) => Ok(BodyLength::Exactly(length)),
                None => Err(bad("Content-Length is not a number")),
            },
        }
    }
}

/// A plain decimal number: no sign, no blanks, no list.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    if digits { text(value).parse().ok() } else { None }
}

fn once<'b>(slot: &mut Option<&'b [u8]>, value: &'b [u8], reason: &'static str) -> Result<(), Refused> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(reason)),
    }
}

fn refused(error: httparse::Error, bytes: &[u8]) -> Refused {
    match error {
        httparse::Error::TooManyHeaders => Refused { status: 431, reason: "too many header fields" },
        httparse::Error::Version if third_word(bytes).starts_with(b"HTTP/") => {
            Refused { status: 505, reason: "only HTTP/1.0 and HTTP/1.1 are spoken here" }
        }
        httparse::Error::HeaderName => bad("a header field name is malformed"),
        httparse::Error::HeaderValue => bad("a header field value is malformed"),
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => bad("the request line is malformed"),
    }
}

fn third_word(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == b' ').nth(2).unwrap_or_default()
}

/// Splits a target into its origin form and the authority it names (RFC 9112, section 3.2).
fn split_target<'b>(method: &str, target: &'b str) -> Result<(&'b str, Option<Authority<'b>>), Refused> {
    if method == "CONNECT" {
        return Err(Refused { status: 405, reason: "tunnels are not offered here" });
    }
    if target.contains('#') || target.bytes().any(|b| b.is_ascii_control()) {
        return Err(bad("the request target is malformed"));
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((target, None));
    }
    let malformed = bad("the request target is malformed");
    let (scheme, rest) = target.split_once("://").ok_or(malformed)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(malformed)?;
    let authority = Authority::new(scheme, authority).ok_or(malformed)?;
    match path {
        // What is asked of the server as a whole (RFC 9112, section 3.2.4).
        "" if method == "OPTIONS" => Ok(("*", Some(authority))),
        "" => Ok(("/", Some(authority))),
        path if path.starts_with('/') => Ok((path, Some(authority))),
        _ => Err(malformed),
    }
}

fn accepts_html(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"text/html").is_some()
}

fn is_request_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&b))
}

#[cfg(test)]
mod tests;
