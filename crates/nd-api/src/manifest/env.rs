//! Environment variables.

use std::collections::{BTreeMap, btree_map};
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Environment variables of an app: names and values that a process can be given.
///
/// `Debug` shows the names only, because values may be secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Env(BTreeMap<String, String>);

/// Why a variable cannot be given to a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnv {
    /// The name is not one that shells and programs accept.
    #[error(
        "`{0}` is not a variable name; use letters, digits, `_`, `.` and `-`, and do not begin with a digit"
    )]
    Name(String),
    /// The value holds a NUL byte, which ends every C string.
    #[error("the value of `{0}` contains a NUL byte")]
    Value(String),
}

impl Env {
    /// Sets a variable; a name that exists is replaced.
    ///
    /// # Errors
    /// [`InvalidEnv`] for a name with foreign characters or a value with a NUL byte.
    pub fn insert(&mut self, name: &str, value: impl Into<String>) -> Result<(), InvalidEnv> {
        let value = value.into();
        if !is_name(name) {
            return Err(InvalidEnv::Name(name.to_owned()));
        }
        if value.contains('\0') {
            return Err(InvalidEnv::Value(name.to_owned()));
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// Takes every variable of `other`; where both have a name, `other` wins.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many variables are set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The plain map.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl IntoIterator for Env {
    type Item = (String, String);
    type IntoIter = btree_map::IntoIter<String, String>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Env {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvVisitor)
    }
}

/// Reads `{"PORT": "3000"}`; a bare number or truth value is taken as the text it is written as.
struct EnvVisitor;

impl<'de> Visitor<'de> for EnvVisitor {
    type Value = Env;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of variable names to texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Env, A::Error> {
        let mut env = Env::default();
        while let Some((name, value)) = map.next_entry::<String, Scalar>()? {
            let text = match value {
                Scalar::Text(text) => text,
                Scalar::Flag(flag) => flag.to_string(),
                Scalar::Number(number) => number.to_string(),
            };
            env.insert(&name, text).map_err(A::Error::custom)?;
        }
        Ok(env)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a variable's value must be a text, a number, true or false")]
enum Scalar {
    Text(String),
    Flag(bool),
    Number(serde_json::Number),
}

/// POSIX names (IEEE Std 1003.1, 8.1) plus the `.` and `-` that Java and Node programs use.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truth_values_become_texts() {
        let env: Env = serde_json::from_str(r#"{"PORT":3000,"DEBUG":true,"A":"b"}"#).unwrap();
        assert_eq!(env.iter().collect::<Vec<_>>(), [("A", "b"), ("DEBUG", "true"), ("PORT", "3000")]);
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        for bad in [
            r#"{"A=B":"c"}"#,
            r#"{"":"c"}"#,
            r#"{"1A":"c"}"#,
            r#"{"A":"\u0000"}"#,
            r#"{"A":null}"#,
            r#"{"A":[]}"#,
        ] {
            assert!(serde_json::from_str::<Env>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_not_shown_when_debugging() {
        let mut env = Env::default();
        env.insert("TOKEN", "hunter2").unwrap();
        assert_eq!(format!("{env:?}"), r#"{"TOKEN"}"#);
    }
}
