//! Ids that the engine hands out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::AppName;

/// Letters and digits without those that are mistaken for each other (Crockford's base 32, lower case).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
}

fn random_text<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.map(|b| ALPHABET.get(usize::from(b & 31)).copied().unwrap_or(b'0')))
}

fn is_id_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, prefix $prefix:literal, random $length:literal, expected $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Makes a new id from the system's random source.
            ///
            /// # Errors
            /// Only when the system has no random source.
            pub fn random() -> Result<Self, getrandom::Error> {
                let text = random_text::<$length>()?;
                Ok(Self(format!("{}{}", $prefix, String::from_utf8_lossy(&text)).into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s.strip_prefix($prefix) {
                    Some(rest) if is_id_text(rest) => Ok(Self(s.into())),
                    _ => Err(InvalidId { text: s.to_owned(), expected: $expected }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(s: String) -> Result<Self, Self::Error> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    };
}

text_id! {
    /// One immutable snapshot of an app: image or command, environment, routes, limits. Six characters, as in `8f3k2a`.
    ReleaseId, prefix "", random 6, expected "a release id such as 8f3k2a"
}
text_id! {
    /// One attempt to make a release serve, as in `dpl_8f3k2a1`.
    DeploymentId, prefix "dpl_", random 7, expected "a deployment id such as dpl_8f3k2a1"
}
text_id! {
    /// One daemon's data directory; keeps two daemons on one Docker engine apart.
    DaemonId, prefix "", random 12, expected "a daemon id"
}
text_id! {
    /// One request through the proxy, sent to the app and back to the client as `X-Request-Id`.
    RequestId, prefix "", random 20, expected "a request id"
}

/// One container or process of a release (to users: an instance), as in `shop-8f3k2a-1`.
///
/// The id is made of app, release and slot, so that creating the same unit twice is the same wish.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitId {
    text: Box<str>,
    app: AppName,
    release: ReleaseId,
    slot: u16,
}

impl UnitId {
    /// The unit in `slot` (counted from 1) of `release` of `app`.
    #[must_use]
    pub fn new(app: &AppName, release: &ReleaseId, slot: u16) -> Self {
        let text = format!("{app}-{release}-{slot}").into();
        Self { text, app: app.clone(), release: release.clone(), slot }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The app the unit belongs to.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The release the unit runs.
    #[must_use]
    pub fn release(&self) -> &ReleaseId {
        &self.release
    }

    /// The unit's place among the instances of its release, from 1.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for UnitId {
    type Err = InvalidId;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let parts = || {
            let (rest, slot) = s.rsplit_once('-')?;
            let (app, release) = rest.rsplit_once('-')?;
            let slot = slot.parse().ok().filter(|slot| *slot > 0)?;
            Some(Self::new(&app.parse().ok()?, &release.parse().ok()?, slot))
        };
        parts().ok_or_else(|| InvalidId { text: s.to_owned(), expected: "a unit id such as shop-8f3k2a-1" })
    }
}

impl TryFrom<String> for UnitId {
    type Error = InvalidId;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<UnitId> for String {
    fn from(id: UnitId) -> Self {
        id.text.into()
    }
}

/// The number of one version of the [`EdgeState`](crate::EdgeState); a higher one replaces a lower one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_id_reads_back_as_what_it_was_made_of() {
        let app: AppName = "my-shop".parse().unwrap();
        let release: ReleaseId = "8f3k2a".parse().unwrap();
        let unit = UnitId::new(&app, &release, 12);
        assert_eq!(unit.to_string(), "my-shop-8f3k2a-12");
        assert_eq!(unit.as_str().parse(), Ok(unit));
    }

    #[test]
    fn a_random_id_reads_back() {
        let id = DeploymentId::random().unwrap();
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn an_id_with_a_foreign_character_is_refused() {
        assert!("dpl_../etc".parse::<DeploymentId>().is_err());
        assert!("shop-8f3k2a-0".parse::<UnitId>().is_err());
        assert!("shop".parse::<UnitId>().is_err());
    }
}
