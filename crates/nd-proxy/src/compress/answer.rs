//! Which answers are compressed, as their heads say.

use nd_types::ContentCoding;

use super::Agreed;
use crate::http1::field::{Name, members};
use crate::http1::request::text;
use crate::http1::response::ResponseHead;

/// Below this nothing is won.
const LEAST_BYTES: u64 = 1024;

/// What compression does to an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Recoding {
    /// Nothing.
    #[default]
    Nothing,
    /// It passes as it is; another client might get it compressed.
    Varies,
    /// It has no content, and its tag is the one that the compressed content had.
    Weakened,
    /// Its content is compressed.
    Coded(ContentCoding),
}

/// Decides by the head. `has_room`: whether another answer may be compressed now.
pub(crate) fn recoding(
    agreed: Agreed,
    head: &ResponseHead<'_, '_>,
    has_room: impl FnOnce(ContentCoding) -> bool,
) -> Recoding {
    if !agreed.varies || head.declared_length.is_some_and(|length| length <= LEAST_BYTES) {
        return Recoding::Nothing;
    }
    match (head.status, agreed.coding) {
        (304, Some(_)) => return Recoding::Weakened,
        (..200 | 204 | 205 | 206 | 304, _) => return Recoding::Nothing,
        _ if !is_compressible(text(head.content_type)) || is_final(head.fields) => return Recoding::Nothing,
        _ => {}
    }
    match agreed.coding.filter(|coding| has_room(*coding)) {
        Some(coding) => Recoding::Coded(coding),
        None => Recoding::Varies,
    }
}

/// Whether the app has said that its answer is not to be changed, or has coded it already.
fn is_final(fields: &[httparse::Header<'_>]) -> bool {
    fields.iter().any(|field| {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            16 if is("content-encoding") => !field.value.eq_ignore_ascii_case(b"identity"),
            13 if is("content-range") => true,
            13 if is("cache-control") => {
                members(text(field.value)).any(|member| member.eq_ignore_ascii_case("no-transform"))
            }
            // Sums over the bytes that we would change (RFC 9530).
            14 if is("content-digest") => true,
            11 if is("repr-digest") || is("content-md5") => true,
            6 if is("digest") => true,
            _ => false,
        }
    })
}

/// Whether content of this type gets smaller. Event streams are left alone: each event is wanted at once.
fn is_compressible(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((class, name)) = kind.split_once('/') else { return false };
    match class {
        "text" => name != "event-stream",
        "application" | "image" | "font" | "model" if name.ends_with("+json") || name.ends_with("+xml") => {
            true
        }
        "application" => APPLICATION.contains(&name),
        "image" => matches!(name, "bmp" | "x-icon" | "vnd.microsoft.icon"),
        "font" => matches!(name, "ttf" | "otf" | "collection" | "sfnt"),
        _ => false,
    }
}

const APPLICATION: [&str; 22] = [
    "ecmascript",
    "graphql",
    "javascript",
    "json",
    "json5",
    "json-seq",
    "jsonl",
    "jsonlines",
    "ndjson",
    "rtf",
    "sql",
    "toml",
    "vnd.ms-fontobject",
    "wasm",
    "x-font-otf",
    "x-font-ttf",
    "x-javascript",
    "x-ndjson",
    "x-yaml",
    "xml",
    "xml-dtd",
    "yaml",
];

/// Writes a field of an answer that is compressed, where it is not the app's any more; says whether it did.
pub(crate) fn write_changed(out: &mut Vec<u8>, recoding: Recoding, field: &httparse::Header<'_>) -> bool {
    if matches!(recoding, Recoding::Nothing | Recoding::Varies) {
        return false;
    }
    match Name::of(field.name) {
        Name::ETag if !field.value.starts_with(b"W/") => {
            // The bytes are others than the ones the app has named (RFC 9110, section 8.8.1).
            out.extend_from_slice(b"ETag: W/");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
            true
        }
        _ => field.name.eq_ignore_ascii_case("accept-ranges") && recoding != Recoding::Weakened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::field_space;

    fn decided(lines: &str) -> Recoding {
        let head = format!("HTTP/1.1 {lines}\r\n\r\n");
        let mut space = field_space();
        let head = ResponseHead::parse(head.as_bytes(), &mut space, false).unwrap().unwrap();
        let agreed = Agreed { varies: true, coding: Some(ContentCoding::Gzip) };
        recoding(agreed, &head, |_| true)
    }

    #[test]
    fn long_texts_are_compressed() {
        for kind in [
            "text/html; charset=utf-8",
            "TEXT/PLAIN",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
        ] {
            let coded = Recoding::Coded(ContentCoding::Gzip);
            assert_eq!(decided(&format!("200 OK\r\nContent-Type: {kind}")), coded, "{kind}");
            assert_eq!(decided(&format!("404 No\r\nContent-Type: {kind}\r\nContent-Length: 1025")), coded);
            let short = decided(&format!("200 OK\r\nContent-Type: {kind}\r\nContent-Length: 1024"));
            assert_eq!(short, Recoding::Nothing);
        }
    }

    #[test]
    fn what_is_coded_already_or_must_not_change_is_left_alone() {
        for lines in [
            "200 OK",
            "200 OK\r\nContent-Type: text/event-stream",
            "200 OK\r\nContent-Type: text/event-stream; charset=utf-8",
            "200 OK\r\nContent-Type: image/png",
            "200 OK\r\nContent-Type: application/grpc",
            "200 OK\r\nContent-Type: video/mp4",
            "200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br",
            "200 OK\r\nContent-Type: text/html\r\nCache-Control: public, No-Transform",
            "200 OK\r\nContent-Type: text/html\r\nContent-Range: bytes 0-9/10",
            "200 OK\r\nContent-Type: text/html\r\nContent-Digest: sha-256=:AA==:",
            "206 Partial\r\nContent-Type: text/html",
            "204 No\r\nContent-Type: text/html",
        ] {
            assert_eq!(decided(lines), Recoding::Nothing, "{lines}");
        }
        assert_eq!(decided("304 Same\r\nETag: \"a\""), Recoding::Weakened);
    }

    #[test]
    fn without_room_or_a_wish_it_only_varies() {
        let mut space = field_space();
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\n\r\n";
        let head = ResponseHead::parse(head, &mut space, false).unwrap().unwrap();
        let gzip = Agreed { varies: true, coding: Some(ContentCoding::Gzip) };
        assert_eq!(recoding(gzip, &head, |_| false), Recoding::Varies);
        assert_eq!(recoding(Agreed { varies: true, coding: None }, &head, |_| true), Recoding::Varies);
        assert_eq!(recoding(Agreed::default(), &head, |_| true), Recoding::Nothing);
    }
}
