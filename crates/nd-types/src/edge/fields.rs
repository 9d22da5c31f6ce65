//! Header fields that users write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Fields that belong to one connection or frame a message (RFC 9110, sections 6.4.1 and 7.6.1; RFC 9113, section 8.2.2),
/// and the one the proxy sets itself: who changes them breaks the message.
const KEPT_BACK: [&str; 16] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "sec-websocket-accept",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// The name of a field that may be set or removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName(Box<str>);

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldValue(Box<str>);

/// Why a text is no field that may be set or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// Not a token (RFC 9110, section 5.6.2).
    #[error("`{0}` is not the name of a header field; letters, digits and hyphens make one")]
    Name(String),
    /// It frames the message or belongs to one connection.
    #[error("`{0}` belongs to the connection or frames the message, so that the proxy alone sets it")]
    KeptBack(String),
    /// A control character (RFC 9110, section 5.5).
    #[error("the value of a header field is one line of printable ASCII")]
    Value,
}

impl FieldName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether several fields of this name may stand in one head, so that one more takes nothing away.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        ["link", "set-cookie", "vary"].iter().any(|name| self.0.eq_ignore_ascii_case(name))
    }
}

impl FieldValue {
    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FieldName {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(is_token) {
            return Err(InvalidField::Name(text.to_owned()));
        }
        if KEPT_BACK.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(InvalidField::KeptBack(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for FieldValue {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = text.len() <= 4096 && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if is_plain { Ok(Self(text.trim().into())) } else { Err(InvalidField::Value) }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FieldName {
    type Error = InvalidField;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> Self {
        name.0.into()
    }
}

impl TryFrom<String> for FieldValue {
    type Error = InvalidField;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FieldValue> for String {
    fn from(value: FieldValue) -> Self {
        value.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_cannot_be_set_or_removed() {
        for name in KEPT_BACK {
            assert_eq!(
                name.to_ascii_uppercase().parse::<FieldName>().unwrap_err(),
                InvalidField::KeptBack(name.to_ascii_uppercase())
            );
        }
        assert!("X-Frame-Options".parse::<FieldName>().is_ok());
    }

    #[test]
    fn no_value_begins_a_line_of_its_own() {
        for value in ["a\r\nSet-Cookie: b", "a\nb", "a\0", "ä"] {
            assert_eq!(value.parse::<FieldValue>(), Err(InvalidField::Value), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\n", "ä"] {
            assert!(name.parse::<FieldName>().is_err(), "{name:?}");
        }
    }
}
