//! What is done with answers.

use std::collections::BTreeMap;

use nd_api::manifest::PageSource;
use nd_types::{Compression, ContentCoding, ErrorPages, InvalidPages};

use crate::decode::{Decoder, Field};
use crate::node::Value;
use crate::report::Code;
use crate::suggest::closest;

/// Codings, the first choice first; `false` for none.
pub(super) fn compression(field: &Field<'_>, d: &mut Decoder) -> Option<Vec<ContentCoding>> {
    let mut codings: Vec<ContentCoding> = Vec::new();
    for item in field.one_or_more(d) {
        let text = &item.scalar("a coding such as `gzip`", d)?.text;
        match (text.as_str(), text.parse()) {
            ("false", _) => return Some(Vec::new()),
            ("true", _) => return Some(Compression::DEFAULT.to_vec()),
            (_, Ok(coding)) if codings.contains(&coding) => {
                d.say(item.mistake(Code::Conflict, format!("`{coding}` is there already")));
            }
            (_, Ok(coding)) => codings.push(coding),
            (_, Err(error)) => {
                let mistake = item.mistake(Code::BadValue, error.to_string());
                let known = ContentCoding::ALL.map(ContentCoding::as_str);
                let meant = match text.as_str() {
                    "brotli" => Some("br"),
                    "zstandard" => Some("zstd"),
                    text => closest(text, known),
                };
                d.say(match meant {
                    Some(word) => mistake.help(format!("`{word}`")),
                    None => mistake,
                });
            }
        }
    }
    Some(codings)
}

/// A directory of pages, or pages by status.
pub(super) fn error_pages(field: &Field<'_>, d: &mut Decoder) -> Option<PageSource> {
    if !matches!(field.node.value, Value::Map(_)) {
        return field.text(d).map(PageSource::Directory);
    }
    let mut pages = BTreeMap::new();
    for (entry, value) in field.entries(d) {
        let Some(page) = value.text(d) else { continue };
        if ErrorPages::is_key(&entry.key) {
            pages.insert(entry.key.clone(), page);
        } else {
            let error = InvalidPages::Status(entry.key.clone());
            d.say(value.mistake(Code::BadValue, error.to_string()).at(entry.key_span.clone()));
        }
    }
    Some(PageSource::Pages(pages))
}
