//! Names and passwords that an app asks for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::PathPrefix;

/// The most costly hashes that are accepted: each is computed for everybody who tries a password.
const MOST_BCRYPT_COST: u32 = 14;
const MOST_ARGON2_KIB: u32 = 64 * 1024;
const MOST_ARGON2_PASSES: u32 = 16;
const MOST_ARGON2_LANES: u32 = 4;

/// Who may ask, by name and password (RFC 7617); everybody where there are no users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    /// Who may.
    pub users: Vec<BasicUser>,
    /// Only under these paths; everywhere where it is empty.
    pub paths: Vec<PathPrefix>,
}

impl BasicAuth {
    /// Whether everybody may ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// One who may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasicUser {
    /// The name; without a colon.
    pub name: String,
    /// The password, as a hash.
    pub password: PasswordHash,
}

/// A salted, slow hash of a password: bcrypt (`$2y$…`) or Argon2 (`$argon2id$…`, as a PHC string). Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(Box<str>);

/// Why a text is no hash that is accepted. It does not say which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Of an unknown kind, or damaged.
    #[error("not a hash of bcrypt or Argon2; `htpasswd -nB NAME` makes one")]
    Form,
    /// It would take too long or too much memory.
    #[error("the hash is too costly; up to bcrypt's cost 14, or Argon2 with 64 MiB, 16 passes and 4 lanes")]
    Costly,
}

impl PasswordHash {
    /// The hash, to be compared with.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of bcrypt; of Argon2 otherwise.
    #[must_use]
    pub fn is_bcrypt(&self) -> bool {
        self.0.starts_with("$2")
    }

    /// Whether a text looks like the hash of a password rather than like a password, known kinds or not.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("{SHA}") || text.starts_with('$') && text.matches('$').count() >= 3
    }
}

impl FromStr for PasswordHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let parts: Vec<&str> = text.split('$').collect();
        match parts.as_slice() {
            ["", "2a" | "2b" | "2y", cost, rest] => {
                let in_alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/');
                if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(in_alphabet) {
                    return Err(InvalidHash::Form);
                }
                at_most(cost, 4, MOST_BCRYPT_COST)?;
            }
            ["", "argon2id" | "argon2i" | "argon2d", "v=19", parameters, salt, hash] => {
                argon2_parameters(parameters)?;
                let in_alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
                let is_base64 = |text: &str| text.bytes().all(in_alphabet);
                let lengths = (11..=64).contains(&salt.len()) && (16..=88).contains(&hash.len());
                if !lengths || !is_base64(salt) || !is_base64(hash) {
                    return Err(InvalidHash::Form);
                }
            }
            _ => return Err(InvalidHash::Form),
        }
        Ok(Self(text.into()))
    }
}

fn argon2_parameters(text: &str) -> Result<(), InvalidHash> {
    let mut parts = text.split(',');
    for (name, least, most) in
        [("m=", 8, MOST_ARGON2_KIB), ("t=", 1, MOST_ARGON2_PASSES), ("p=", 1, MOST_ARGON2_LANES)]
    {
        let value = parts.next().and_then(|part| part.strip_prefix(name)).ok_or(InvalidHash::Form)?;
        at_most(value, least, most)?;
    }
    if parts.next().is_some() { Err(InvalidHash::Form) } else { Ok(()) }
}

fn at_most(number: &str, least: u32, most: u32) -> Result<(), InvalidHash> {
    let number: u32 = number.parse().map_err(|_| InvalidHash::Form)?;
    match number {
        number if number < least => Err(InvalidHash::Form),
        number if number > most => Err(InvalidHash::Costly),
        _ => Ok(()),
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0.into()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    const ARGON2: &str = "$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo";

    #[test]
    fn hashes_of_two_kinds_are_read_and_never_shown() {
        for text in [BCRYPT, ARGON2] {
            let hash: PasswordHash = text.parse().unwrap();
            assert_eq!((hash.as_str(), hash.is_bcrypt()), (text, text == BCRYPT));
            assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
        }
    }

    #[test]
    fn weak_damaged_and_costly_ones_are_refused() {
        for text in
            ["", "hunter2", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "$apr1$x$y", "$2y$10$short", "$5$salt$hash"]
        {
            assert_eq!(text.parse::<PasswordHash>(), Err(InvalidHash::Form), "{text}");
        }
        for text in [BCRYPT.replace("$10$", "$15$"), ARGON2.replace("m=7168", "m=7000000")] {
            assert_eq!(text.parse::<PasswordHash>(), Err(InvalidHash::Costly), "{text}");
        }
        assert!(PasswordHash::is_meant_by("$apr1$x$y") && !PasswordHash::is_meant_by("pa$$word"));
    }
}
