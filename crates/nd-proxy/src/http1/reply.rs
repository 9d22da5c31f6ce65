//! The response head as the client gets it.

use nd_types::HeaderRules;

use crate::compress::{Recoding, write_changed};

use super::field::{Name, members};
use super::forward::{put, put_field, put_length, put_number};
use super::request::text;
use super::response::{ResponseBody, ResponseHead};

/// How a response's body is delimited on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it came.
    Same,
    /// In chunks, although it came until the app closed.
    Chunked,
    /// Without the chunks it came in, until we close.
    Bare,
}

impl Coding {
    /// Chunks are for HTTP/1.1 clients alone; every other length can be kept.
    pub(crate) fn choose(body: ResponseBody, is_http10: bool) -> Self {
        match (body, is_http10) {
            (ResponseBody::UntilClose, false) => Self::Chunked,
            (ResponseBody::Chunked, true) => Self::Bare,
            _ => Self::Same,
        }
    }
}

/// What this hop says about the connection to the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) keep_alive: bool,
    pub(crate) is_http10: bool,
    pub(crate) coding: Coding,
    pub(crate) request_id: &'a str,
    /// What is done with the app's fields, if anything.
    pub(crate) headers: Option<&'a HeaderRules>,
    /// Whole field lines of our own.
    pub(crate) added: [&'a str; 4],
    pub(crate) recoding: Recoding,
}

/// Writes a final head for the client, up to and with its empty line.
pub(crate) fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, reply: Reply<'_>) {
    write_status(out, head);
    write_fields(out, head, reply);
    put(out, &reply.added);
    let is_coded = matches!(reply.recoding, Recoding::Coded(_));
    let is_chunked = match reply.coding {
        Coding::Same => head.body == ResponseBody::Chunked,
        Coding::Chunked => true,
        Coding::Bare => false,
    };
    if is_chunked {
        put(out, &["Transfer-Encoding: chunked\r\n"]);
    } else if let Some(length) =
        head.declared_length.filter(|_| head.status != 204 && reply.coding == Coding::Same && !is_coded)
    {
        put_length(out, length);
    }
    put(out, &[connection_line(reply.keep_alive, reply.is_http10), "\r\n"]);
}

/// Writes the head that ends HTTP on this connection (RFC 9110, section 15.2.2).
pub(crate) fn write_switch(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, request_id: &str, added: &[&str]) {
    write_status(out, head);
    let (keep_alive, is_http10, coding) = (true, false, Coding::Same);
    let (recoding, headers) = (Recoding::Nothing, None);
    let nothing = [""; 4];
    write_fields(
        out,
        head,
        Reply { keep_alive, is_http10, coding, request_id, headers, recoding, added: nothing },
    );
    put(out, added);
    put(out, &["Connection: Upgrade\r\nUpgrade: ", head.upgrade.unwrap_or_default(), "\r\n\r\n"]);
}

/// Writes an interim head such as 100 or 103 (RFC 9110, section 15.2).
pub(crate) fn write_interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    write_status(out, head);
    for field in head.fields.iter().filter(|f| Name::of(f.name) == Name::Other && !head.nominates(f.name)) {
        put_field(out, field.name, field.value);
    }
    put(out, &["\r\n"]);
}

/// The `Connection` line a client of that version needs, if any.
pub(crate) fn connection_line(keep_alive: bool, is_http10: bool) -> &'static str {
    match (keep_alive, is_http10) {
        (false, _) => "Connection: close\r\n",
        (true, true) => "Connection: keep-alive\r\n",
        (true, false) => "",
    }
}

/// Writes the fields that an app wants on all of its answers.
pub(crate) fn put_added(out: &mut Vec<u8>, rules: Option<&HeaderRules>) {
    for (name, value) in rules.map(|rules| rules.add.as_slice()).unwrap_or_default() {
        put(out, &[name.as_str(), ": ", value.as_str(), "\r\n"]);
    }
}

fn write_status(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    put(out, &["HTTP/1.1 "]);
    put_number(out, head.status.into());
    put(out, &[" ", head.reason, "\r\n"]);
}

fn write_fields(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, reply: Reply<'_>) {
    let rules = reply.headers;
    for field in head.fields {
        let keep = !matches!(
            Name::of(field.name),
            Name::ContentLength
                | Name::TransferEncoding
                | Name::Connection
                | Name::KeepAlive
                | Name::Upgrade
                | Name::Hop
                | Name::RequestId
        );
        if !keep || head.nominates(field.name) || rules.is_some_and(|rules| !rules.keeps(field.name)) {
            continue;
        }
        if !write_changed(out, reply.recoding, field) {
            put_field(out, field.name, field.value);
        }
    }
    put_added(out, rules);
    put_recoding(out, head, reply.recoding);
    put(out, &["X-Request-Id: ", reply.request_id, "\r\n"]);
}

/// Says what was done, and that another client may get something else (RFC 9110, section 12.5.5).
fn put_recoding(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, recoding: Recoding) {
    if let Recoding::Coded(coding) = recoding {
        put(out, &["Content-Encoding: ", coding.as_str(), "\r\n"]);
    }
    let says_so = |field: &&httparse::Header<'_>| {
        field.name.eq_ignore_ascii_case("vary")
            && members(text(field.value)).any(|m| m == "*" || m.eq_ignore_ascii_case("accept-encoding"))
    };
    let varies = matches!(recoding, Recoding::Coded(_) | Recoding::Varies);
    if varies && !head.fields.iter().any(|field| says_so(&field)) {
        put(out, &["Vary: Accept-Encoding\r\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::field_space;
    use super::*;

    fn reply(head: &str, is_http10: bool, answers_head: bool) -> String {
        let mut space = field_space();
        let head = ResponseHead::parse(head.as_bytes(), &mut space, answers_head).unwrap().unwrap();
        let coding = Coding::choose(head.body, is_http10);
        let mut out = Vec::new();
        write_response(
            &mut out,
            &head,
            Reply {
                keep_alive: !is_http10,
                is_http10,
                coding,
                request_id: "r1",
                headers: None,
                added: [""; 4],
                recoding: Recoding::Nothing,
            },
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_the_app_meant_for_us_ends_here() {
        let head = "HTTP/1.1 200 Fine\r\nConnection: close, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
                    Upgrade: h2c\r\nX-Request-Id: theirs\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n";
        assert_eq!(
            reply(head, false, false),
            "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX-Request-Id: r1\r\nContent-Length: 2\r\n\r\n"
        );
    }

    #[test]
    fn the_length_fits_the_client() {
        let until_close = "HTTP/1.0 200 OK\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n";
        let exact = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert!(reply(until_close, false, false).contains("Transfer-Encoding: chunked"));
        assert!(reply(until_close, true, false).contains("Connection: close"));
        assert!(!reply(chunked, false, false).contains("Content-Length"));
        assert!(!reply(chunked, true, false).contains("chunked"));
        assert!(reply(exact, false, true).contains("Content-Length: 9"));
    }

    #[test]
    fn no_content_has_no_length() {
        assert!(
            !reply("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", false, false).contains("Length")
        );
    }
}
