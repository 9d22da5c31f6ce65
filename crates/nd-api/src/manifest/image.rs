//! Image references.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A container image, as in `node:22` or `registry.example:5000/team/shop@sha256:…`.
///
/// Checked by form only: whether it exists is for the engine to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(Box<str>);

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImage {
    /// Nothing was given.
    #[error("image must not be empty; write it as `node:22` or `registry.example/team/shop:1.4`")]
    Empty,
    /// It has the form of a web address.
    #[error("image `{0}` must not begin with a scheme; leave out everything up to `//`")]
    Scheme(String),
    /// Capital letters in the repository, which registries refuse.
    #[error("image `{0}` must be lower case before its tag")]
    UpperCase(String),
    /// Any other foreign form.
    #[error("`{0}` is not an image reference; write it as `node:22` or `registry.example/team/shop:1.4`")]
    Form(String),
}

impl ImageRef {
    /// Checks a reference by its form (OCI distribution specification 1.1, "pulling manifests").
    ///
    /// # Errors
    /// [`InvalidImage`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidImage> {
        if text.trim().is_empty() {
            return Err(InvalidImage::Empty);
        }
        if text.contains("://") {
            return Err(InvalidImage::Scheme(text.to_owned()));
        }
        let form = || InvalidImage::Form(text.to_owned());
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        if digest.is_some_and(|digest| !is_digest(digest)) || text.len() > 4096 {
            return Err(form());
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(form());
        }
        let path = name.split_once('/').filter(|(host, _)| is_registry(host)).map_or(name, |(_, path)| path);
        if path.split('/').all(is_path_component) {
            return Ok(Self(text.into()));
        }
        if path.to_ascii_lowercase().split('/').all(is_path_component) {
            return Err(InvalidImage::UpperCase(text.to_owned()));
        }
        Err(form())
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageRef {
    type Err = InvalidImage;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::new(s)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = InvalidImage;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(&s)
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0.into()
    }
}

/// The first part names a registry when it has a dot or a port, or is `localhost` (the rule of Docker's own client).
fn is_registry(host: &str) -> bool {
    let known = host.contains('.') || host.contains(':') || host == "localhost";
    known && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

fn is_path_component(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(part.chars().next())
        && edge(part.chars().next_back())
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_serve_is_accepted() {
        let digest = format!("shop@sha256:{}", "a".repeat(64));
        for image in [
            "node",
            "node:18",
            "library/node:22-alpine",
            "ghcr.io/a/b:1.0",
            "localhost:5000/x_y",
            "[::1]:5000/a",
            &digest,
        ] {
            assert_eq!(ImageRef::new(image).map(String::from), Ok(image.to_owned()));
        }
    }

    #[test]
    fn every_wrong_form_is_named() {
        assert_eq!(ImageRef::new(" "), Err(InvalidImage::Empty));
        assert!(matches!(ImageRef::new("https://ghcr.io/a/b"), Err(InvalidImage::Scheme(_))));
        assert!(matches!(ImageRef::new("MyImage"), Err(InvalidImage::UpperCase(_))));
        for bad in ["a b", "node:", ":1", "a//b", "/a", "node@sha256:xyz", "node:a/b:", "-rm", "a\n"] {
            assert!(matches!(ImageRef::new(bad), Err(InvalidImage::Form(_))), "{bad}");
        }
    }
}
