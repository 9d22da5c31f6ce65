//! Names of images.

use std::fmt;

/// The name of an image as registries understand it: `[registry/]path[:tag][@digest]`, or an image's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    text: String,
    /// Everything before tag and digest.
    name: String,
    /// The tag or the digest; the digest wins.
    version: String,
    id: bool,
}

impl Reference {
    /// Checks a name and completes it by `latest`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if is_id(text) {
            return Ok(Self {
                text: text.to_owned(),
                name: text.to_owned(),
                version: String::new(),
                id: true,
            });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        check_name(name)?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag is letters, digits, `_`, `.` and `-`, at most 128 of them".to_owned());
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err("a digest is written `sha256:` and 64 hexadecimal digits".to_owned());
        }
        let version = digest.or(tag).unwrap_or("latest").to_owned();
        let text = if digest.or(tag).is_some() { text.to_owned() } else { format!("{text}:latest") };
        Ok(Self { text, name: name.to_owned(), version, id: false })
    }

    /// The whole name.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The name without tag and digest.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The tag, or the digest where there is one.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it is an image's id, which no registry knows.
    pub(super) fn is_id(&self) -> bool {
        self.id
    }

    /// The registry it comes from; `None` is Docker Hub.
    pub(super) fn registry(&self) -> Option<&str> {
        let (first, _) = self.name.split_once('/')?;
        let is_host = first.contains(['.', ':']) || first == "localhost";
        (is_host && first != "docker.io").then_some(first)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_id(text: &str) -> bool {
    is_digest(text)
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_tag(tag: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.bytes().all(allowed)
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("it names no image".to_owned());
    }
    if name.len() > 255 {
        return Err("it is longer than 255 characters".to_owned());
    }
    let mut parts = name.split('/').peekable();
    let mut first = true;
    while let Some(part) = parts.next() {
        let host = first && parts.peek().is_some() && (part.contains(['.', ':']) || part == "localhost");
        let ok = if host { is_host(part) } else { is_part(part) };
        if !ok && part.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("`{part}` must be in lower case"));
        }
        if !ok {
            return Err(format!("`{part}` is no part of an image name; write it as `registry/path:tag`"));
        }
        first = false;
    }
    Ok(())
}

/// A path component: words of lower-case letters and digits, joined by `.`, `_`, `__` or hyphens.
fn is_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(word) && part.bytes().last().is_some_and(word);
    ends && part.bytes().all(|byte| word(byte) || b"._-".contains(&byte))
}

fn is_host(host: &str) -> bool {
    let begins = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    begins && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, Option<String>) {
        let reference = Reference::parse(text).unwrap();
        let registry = reference.registry().map(str::to_owned);
        (reference.name().to_owned(), reference.version().to_owned(), registry)
    }

    #[test]
    fn a_name_without_a_version_means_latest() {
        assert_eq!(parts("node"), ("node".into(), "latest".into(), None));
        assert_eq!(Reference::parse("node").unwrap().as_str(), "node:latest");
        assert_eq!(parts("acme/shop:1.2"), ("acme/shop".into(), "1.2".into(), None));
    }

    #[test]
    fn a_registry_has_a_dot_a_port_or_is_localhost() {
        assert_eq!(parts("localhost:5000/shop").2.as_deref(), Some("localhost:5000"));
        assert_eq!(
            parts("ghcr.io/acme/shop:1"),
            ("ghcr.io/acme/shop".into(), "1".into(), Some("ghcr.io".into()))
        );
        assert_eq!(parts("docker.io/library/node").2, None);
        assert_eq!(parts("localhost/shop").2.as_deref(), Some("localhost"));
    }

    #[test]
    fn a_digest_wins_over_a_tag_and_an_id_is_no_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(parts(&format!("node:22@{digest}")), ("node".into(), digest.clone(), None));
        assert!(Reference::parse(&digest).unwrap().is_id());
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("", "names no image"),
            ("Node", "lower case"),
            ("node:", "tag"),
            ("node:a b", "tag"),
            ("a//b", "no part"),
            ("../etc", "no part"),
            ("node@sha256:12", "digest"),
            ("a b", "no part"),
            ("node?x=1", "no part"),
        ] {
            let error = Reference::parse(bad).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
        assert!(Reference::parse(&"a".repeat(300)).is_err());
    }
}
