//! A response head of an app, and how its body ends (RFC 9112, section 6.3).

use std::time::Duration;

use super::field::{Name, members};
use super::request::{FieldSpace, decimal, is_usual_connection_option, nominated_by, text};

/// A response head in the bytes it came in.
#[derive(Debug)]
pub(crate) struct ResponseHead<'h, 'b> {
    pub(crate) status: u16,
    pub(crate) reason: &'b str,
    /// Bytes of the head in its buffer.
    pub(crate) length: usize,
    pub(crate) body: ResponseBody,
    /// The app is willing to answer another request on this connection.
    pub(crate) keep_alive: bool,
    /// How long the app says it keeps an idle connection.
    pub(crate) keep_alive_timeout: Option<Duration>,
    pub(crate) upgrade: Option<&'b str>,
    pub(crate) is_event_stream: bool,
    pub(crate) content_type: &'b [u8],
    /// What `Content-Length` says, also where no body follows.
    pub(crate) declared_length: Option<u64>,
    has_nominated: bool,
    pub(crate) fields: &'h [httparse::Header<'b>],
}

/// How a response's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    None,
    Exactly(u64),
    Chunked,
    UntilClose,
}

/// Bytes that are no response we could pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadResponse;

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Reads the head at the front of `bytes`; `None` while it is incomplete.
    pub(crate) fn parse(
        bytes: &'b [u8],
        space: &'h mut FieldSpace<'b>,
        answers_head: bool,
    ) -> Result<Option<Self>, BadResponse> {
        let mut parsed = httparse::Response::new(&mut []);
        let parse =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, space);
        let length = match parse {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(BadResponse),
        };
        let (Some(version), Some(status)) = (parsed.version, parsed.code) else { return Err(BadResponse) };
        if !(100..1000).contains(&status) {
            return Err(BadResponse);
        }
        let facts = Facts::collect(parsed.headers)?;
        let body = facts.body(status, answers_head)?;
        let persistent = if version == 0 { facts.keep_alive } else { !facts.close };
        Ok(Some(Self {
            status,
            reason: parsed.reason.unwrap_or_default(),
            length,
            body,
            keep_alive: persistent && body != ResponseBody::UntilClose && !facts.is_doubtful(version, status),
            keep_alive_timeout: facts.keep_alive_timeout,
            upgrade: facts.upgrade,
            is_event_stream: facts.content_type.starts_with(b"text/event-stream"),
            content_type: facts.content_type,
            declared_length: facts.length.filter(|_| !facts.chunked),
            has_nominated: facts.has_nominated,
            fields: parsed.headers,
        }))
    }

    /// Whether `Connection` names this field, so that it ends at this hop.
    pub(crate) fn nominates(&self, name: &str) -> bool {
        self.has_nominated && nominated_by(self.fields, name)
    }
}

#[derive(Default)]
struct Facts<'b> {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    has_nominated: bool,
    keep_alive_timeout: Option<Duration>,
    upgrade: Option<&'b str>,
    content_type: &'b [u8],
}

impl<'b> Facts<'b> {
    fn collect(fields: &[httparse::Header<'b>]) -> Result<Self, BadResponse> {
        let mut facts = Self::default();
        for field in fields {
            match Name::of(field.name) {
                Name::ContentLength => facts.content_length(field.value)?,
                Name::TransferEncoding => {
                    if facts.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(BadResponse);
                    }
                    facts.chunked = true;
                }
                Name::Connection => facts.connection(text(field.value)),
                Name::KeepAlive => facts.keep_alive_timeout = keep_alive_timeout(text(field.value)),
                Name::Upgrade => facts.upgrade = Some(text(field.value)),
                Name::ContentType => facts.content_type = field.value,
                _ => {}
            }
        }
        Ok(facts)
    }

    /// Some apps write the same length twice; different ones cannot be passed on.
    fn content_length(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        let length = decimal(value).ok_or(BadResponse)?;
        match self.length.replace(length) {
            Some(before) if before != length => Err(BadResponse),
            _ => Ok(()),
        }
    }

    fn connection(&mut self, value: &str) {
        for member in members(value) {
            self.close |= member.eq_ignore_ascii_case("close");
            self.keep_alive |= member.eq_ignore_ascii_case("keep-alive");
            self.has_nominated |= !is_usual_connection_option(member);
        }
    }

    fn body(&self, status: u16, answers_head: bool) -> Result<ResponseBody, BadResponse> {
        Ok(match (self.chunked, self.length) {
            _ if answers_head || status < 200 || matches!(status, 204 | 304) => ResponseBody::None,
            (true, _) => ResponseBody::Chunked,
            (false, Some(0)) => ResponseBody::None,
            (false, Some(length)) => ResponseBody::Exactly(length),
            (false, None) => ResponseBody::UntilClose,
        })
    }

    /// Framing that another reader could understand differently: nothing may follow on this connection.
    fn is_doubtful(&self, version: u8, status: u16) -> bool {
        let announces_a_body = self.chunked || self.length.is_some_and(|length| length > 0);
        self.chunked && (self.length.is_some() || version == 0) || status == 204 && announces_a_body
    }
}

fn keep_alive_timeout(value: &str) -> Option<Duration> {
    let seconds = members(value).find_map(|member| member.strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::super::request::field_space;
    use super::*;

    fn body(head: &str, answers_head: bool) -> Result<ResponseBody, BadResponse> {
        ResponseHead::parse(head.as_bytes(), &mut field_space(), answers_head).map(|h| h.unwrap().body)
    }

    #[test]
    fn the_body_ends_as_the_standard_says() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false), Ok(ResponseBody::Exactly(5)));
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true), Ok(ResponseBody::None));
        assert_eq!(body("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false), Ok(ResponseBody::None));
        assert_eq!(body("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", false), Ok(ResponseBody::None));
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            Ok(ResponseBody::Chunked)
        );
        assert_eq!(body("HTTP/1.0 200 OK\r\n\r\n", false), Ok(ResponseBody::UntilClose));
    }

    #[test]
    fn an_answer_of_doubtful_length_is_refused() {
        for lines in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: x",
            "Transfer-Encoding: gzip",
            "X Y: z",
        ] {
            assert_eq!(
                body(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n"), false),
                Err(BadResponse),
                "{lines}"
            );
        }
        assert!(body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false).is_ok());
    }

    #[test]
    fn a_connection_with_doubtful_framing_is_not_used_again() {
        let keeps = |head: &str| {
            ResponseHead::parse(head.as_bytes(), &mut field_space(), false).unwrap().unwrap().keep_alive
        };
        assert!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"));
        assert!(keeps("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn the_apps_own_idle_time_is_read() {
        assert_eq!(keep_alive_timeout("timeout=5, max=100"), Some(Duration::from_secs(5)));
        assert_eq!(keep_alive_timeout("max=100"), None);
    }

    #[test]
    fn half_a_head_is_not_an_error() {
        assert!(ResponseHead::parse(b"HTTP/1.1 200 OK\r\nA:", &mut field_space(), false).unwrap().is_none());
    }
}
