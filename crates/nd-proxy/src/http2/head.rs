//! Heads from one version to the other (RFC 9113, section 8.3): fields as lines, and lines as fields.

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::http1::field::Name;
use crate::http1::forward::{put, put_field};
use crate::http1::response::ResponseHead;
use crate::request_id::IdText;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What follows a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    Nothing,
    Content,
    /// A WebSocket (RFC 8441, section 5), whose handshake HTTP/1 begins with this nonce.
    Socket(IdText),
}

/// Writes the head of a client's request as HTTP/1.1 has it.
///
/// Whether it makes sense is for the reader of HTTP/1 heads to say: nothing is hidden from it.
pub(crate) fn write_request(out: &mut Vec<u8>, head: &Parts, follows: Follows) {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let named = head.headers.contains_key(http::header::HOST);
    let target = match (&head.method, head.uri.path_and_query()) {
        (&Method::CONNECT, None) => authority.unwrap_or_default(),
        (_, Some(path)) => path.as_str(),
        (_, None) => "",
    };
    let method = if matches!(follows, Follows::Socket(_)) { "GET" } else { head.method.as_str() };
    let scheme = head.uri.scheme_str().unwrap_or("http");
    let is_odd = !matches!(scheme, "http" | "https");
    put(out, &[method, " "]);
    match authority {
        // In absolute form, so that the two names are compared, or the scheme is seen.
        Some(authority) if (named || is_odd) && target.starts_with('/') => {
            put(out, &[scheme, "://", authority, target]);
        }
        _ => put(out, &[target]),
    }
    put(out, &[" HTTP/1.1\r\n"]);
    if let Some(authority) = authority.filter(|_| !named) {
        put(out, &["Host: ", authority, "\r\n"]);
    }
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != COOKIE) {
        put_field(out, name.as_str(), value.as_bytes());
    }
    put_cookies(out, &head.headers);
    match follows {
        Follows::Content if !head.headers.contains_key(http::header::CONTENT_LENGTH) => {
            put(out, &["Transfer-Encoding: chunked\r\n"]);
        }
        Follows::Socket(nonce) => {
            // Twenty digits, two zeros and the padding are 16 bytes in base 64 (RFC 6455, section 4.1).
            put(out, &["Connection: Upgrade\r\nUpgrade: websocket\r\n"]);
            put(out, &["Sec-WebSocket-Key: ", nonce.as_str(), "AA==\r\n"]);
        }
        Follows::Content | Follows::Nothing => {}
    }
    put(out, &["\r\n"]);
}

/// A cookie field may come in crumbs, and HTTP/1 has one (RFC 9113, section 8.2.3).
fn put_cookies(out: &mut Vec<u8>, fields: &HeaderMap) {
    let mut crumbs = fields.get_all(COOKIE).iter();
    let Some(first) = crumbs.next() else { return };
    put(out, &["Cookie: "]);
    out.extend_from_slice(first.as_bytes());
    for crumb in crumbs {
        put(out, &["; "]);
        out.extend_from_slice(crumb.as_bytes());
    }
    put(out, &["\r\n"]);
}

/// Writes fields as lines.
pub(crate) fn put_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        put_field(out, name.as_str(), value.as_bytes());
    }
}

/// The head of an answer as HTTP/2 has it; `None` where a field cannot be said in it.
pub(crate) fn response(head: &ResponseHead<'_, '_>, status: StatusCode) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.reserve(head.fields.len());
    for field in head.fields {
        append(fields, field.name, field.value)?;
    }
    Some(response)
}

/// The lines of a trailer section as fields.
pub(crate) fn trailers(lines: &[u8]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line)?;
        append(&mut fields, str::from_utf8(line.get(..colon)?).ok()?, line.get(colon + 1..)?.trim_ascii())?;
    }
    Some(fields)
}

/// Fields about the connection have no place in HTTP/2 (RFC 9113, section 8.2.2).
pub(crate) fn append(fields: &mut HeaderMap, name: &str, value: &[u8]) -> Option<()> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    let name = match Name::of(name) {
        Name::Connection | Name::TransferEncoding | Name::KeepAlive | Name::Upgrade | Name::Hop => {
            return Some(());
        }
        Name::RequestId => {
            // No other field will have this value: it has no place in the table of those that come again.
            value.set_sensitive(true);
            REQUEST_ID
        }
        _ => HeaderName::from_bytes(name.as_bytes()).ok()?,
    };
    fields.try_append(name, value).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn written(request: Request<()>, follows: Follows) -> String {
        let mut out = Vec::new();
        write_request(&mut out, &request.into_parts().0, follows);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_is_written_as_http_1_has_it() {
        let request = Request::get("http://a.test/x?y=1").header("cookie", "a=1").header("x-b", "2");
        let request = request.header("cookie", "b=2; c=3").body(()).unwrap();
        assert_eq!(
            written(request, Follows::Nothing),
            "GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nx-b: 2\r\nCookie: a=1; b=2; c=3\r\n\r\n"
        );
    }

    #[test]
    fn content_without_a_length_comes_in_chunks() {
        let post = |length: Option<&str>| {
            let request = Request::post("http://a.test/").header("content-type", "text/plain");
            let request = length.into_iter().fold(request, |r, length| r.header("content-length", length));
            written(request.body(()).unwrap(), Follows::Content)
        };
        assert!(post(None).ends_with("content-type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!post(Some("3")).contains("chunked"));
    }

    #[test]
    fn a_websocket_begins_as_it_does_in_http_1() {
        let request = Request::connect("http://a.test/ws").header("sec-websocket-version", "13");
        let nonce = IdText::given("0123456789abcdefghjk").unwrap();
        assert_eq!(
            written(request.body(()).unwrap(), Follows::Socket(nonce)),
            "GET /ws HTTP/1.1\r\nHost: a.test\r\nsec-websocket-version: 13\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: 0123456789abcdefghjkAA==\r\n\r\n"
        );
    }

    #[test]
    fn two_names_of_the_host_are_left_to_be_compared() {
        let request = Request::get("http://a.test/x").header("host", "b.test").body(()).unwrap();
        assert_eq!(
            written(request, Follows::Nothing),
            "GET http://a.test/x HTTP/1.1\r\nhost: b.test\r\n\r\n"
        );
    }

    #[test]
    fn another_scheme_is_left_to_be_refused() {
        let request = Request::get("ftp://a.test/x").body(()).unwrap();
        assert_eq!(written(request, Follows::Nothing), "GET ftp://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }

    #[test]
    fn trailers_are_fields_and_none_of_them_is_about_the_connection() {
        let fields = trailers(b"grpc-status: 0\r\nConnection: x\r\nA:b\r\n").unwrap();
        assert_eq!(
            (fields.len(), fields["grpc-status"].as_bytes(), fields["a"].as_bytes()),
            (2, &b"0"[..], &b"b"[..])
        );
        assert!(trailers(b"no colon\r\n").is_none());
    }
}
