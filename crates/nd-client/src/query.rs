//! Parameters of a request, from the same types that the server reads them into.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// `?name=value&…`, percent-encoded (RFC 3986, section 2.1); empty where nothing is set.
pub(crate) fn query<T: Serialize>(parameters: &T) -> String {
    let mut text = String::new();
    let Ok(Value::Object(fields)) = serde_json::to_value(parameters) else { return text };
    for (name, value) in fields {
        let value = match value {
            Value::Null => continue,
            Value::String(value) => value,
            other => other.to_string(),
        };
        text.push(if text.is_empty() { '?' } else { '&' });
        encode(&name, &mut text);
        text.push('=');
        encode(&value, &mut text);
    }
    text
}

fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else if write!(out, "%{byte:02X}").is_err() {
            return; // writing to a String does not fail
        }
    }
}

#[cfg(test)]
mod tests {
    use nd_api::v1::LogQuery;

    use super::*;

    #[test]
    fn only_what_is_set_travels_and_it_is_encoded() {
        assert_eq!(query(&LogQuery::default()), "");
        let asked = LogQuery { q: Some("a b&c+".into()), tail: Some(5), follow: true, ..LogQuery::default() };
        assert_eq!(query(&asked), "?follow=true&q=a%20b%26c%2B&tail=5");
    }
}
