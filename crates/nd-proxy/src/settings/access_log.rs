//! Whether requests leave a record, and in which form it is written.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// How access records are written: `"json"`, `"combined"` or `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// As JSON lines.
    #[default]
    Json,
    /// In the combined format of Apache and nginx.
    Combined,
    /// Not at all.
    Off,
}

impl AccessLog {
    /// Whether there are any.
    #[must_use]
    pub fn is_kept(self) -> bool {
        self != Self::Off
    }
}

impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Flag(bool),
            Word(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Flag(true)) => Ok(Self::Json),
            Ok(Written::Flag(false)) => Ok(Self::Off),
            Ok(Written::Word(word)) if word == "json" => Ok(Self::Json),
            Ok(Written::Word(word)) if word == "combined" => Ok(Self::Combined),
            Ok(Written::Word(_)) | Err(_) => {
                Err(D::Error::custom("access_log is \"json\", \"combined\" or false"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_or_nothing_at_all() {
        let read = |text: &str| toml::from_str::<toml::Table>(text).unwrap().remove("a").unwrap().try_into();
        assert_eq!(read("a = 'json'"), Ok(AccessLog::Json));
        assert_eq!(read("a = 'combined'"), Ok(AccessLog::Combined));
        assert_eq!(read("a = false"), Ok(AccessLog::Off));
        let error = toml::Value::String("xml".into()).try_into::<AccessLog>().unwrap_err();
        assert!(error.to_string().contains("\"combined\""), "{error}");
    }
}
