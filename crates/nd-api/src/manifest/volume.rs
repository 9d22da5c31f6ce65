//! Volumes as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something of the host that is mounted into an instance: `./data:/app/data`, `uploads:/app/uploads:ro`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeMount {
    /// What is mounted.
    pub source: VolumeSource,
    /// Where it appears inside, an absolute path.
    pub target: String,
    /// Whether the instance may only read it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeSource {
    /// A volume that the engine keeps under this name.
    Named(String),
    /// A file or directory of the host: absolute, or relative to the project and inside it.
    Path(String),
}

/// Why a text is not a volume, or one that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVolume {
    /// Not the form of a volume.
    #[error("`{0}` is not a volume; write it as `./data:/app/data` or `uploads:/app/uploads:ro`")]
    Form(String),
    /// The place inside is not absolute.
    #[error("the place of volume `{0}` inside the container must be an absolute path")]
    Target(String),
    /// A name that no engine accepts.
    #[error(
        "`{0}` is not a name of a volume; use letters, digits, `_`, `.` and `-`, or begin a path with `./`"
    )]
    Name(String),
    /// The whole file system of the host.
    #[error("mounting `/` would hand the whole host to the app")]
    Root,
    /// The engine's own socket.
    #[error("mounting `{0}` would hand the Docker engine, and with it the host, to the app")]
    EngineSocket(String),
    /// A relative path that leaves the project.
    #[error("volume path `{0}` leaves the project directory; write the absolute path")]
    Outside(String),
}

impl fmt::Display for VolumeMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (VolumeSource::Named(source) | VolumeSource::Path(source)) = &self.source;
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{source}:{}{mode}", self.target)
    }
}

impl FromStr for VolumeMount {
    type Err = InvalidVolume;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let form = || InvalidVolume::Form(s.to_owned());
        let mut parts = s.split(':');
        let (source, target) = parts.next().zip(parts.next()).ok_or_else(form)?;
        let read_only = match (parts.next(), parts.next()) {
            (None, None) | (Some("rw"), None) => false,
            (Some("ro"), None) => true,
            _ => return Err(form()),
        };
        if source.is_empty() || target.is_empty() || s.contains('\0') {
            return Err(form());
        }
        if !target.starts_with('/') || is_root(target) || climbs(target) {
            return Err(InvalidVolume::Target(s.to_owned()));
        }
        Ok(Self { source: parse_source(source)?, target: target.to_owned(), read_only })
    }
}

impl TryFrom<String> for VolumeMount {
    type Error = InvalidVolume;
    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<VolumeMount> for String {
    fn from(volume: VolumeMount) -> Self {
        volume.to_string()
    }
}

fn parse_source(source: &str) -> Result<VolumeSource, InvalidVolume> {
    if source.starts_with('/') {
        if is_root(source) {
            return Err(InvalidVolume::Root);
        }
        if source.trim_end_matches('/').rsplit('/').next() == Some("docker.sock") {
            return Err(InvalidVolume::EngineSocket(source.to_owned()));
        }
        return Ok(VolumeSource::Path(source.to_owned()));
    }
    if source.starts_with('.') || source.contains('/') {
        let kept = !climbs(source) && !source.starts_with('~');
        return if kept {
            Ok(VolumeSource::Path(source.to_owned()))
        } else {
            Err(InvalidVolume::Outside(source.to_owned()))
        };
    }
    let named = source.starts_with(|c: char| c.is_ascii_alphanumeric())
        && source.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if named {
        Ok(VolumeSource::Named(source.to_owned()))
    } else {
        Err(InvalidVolume::Name(source.to_owned()))
    }
}

/// Whether an absolute path means the root, also when written as `/.` or `//` or `/a/..`.
fn is_root(path: &str) -> bool {
    let depth = path.split('/').try_fold(0usize, |depth, part| match part {
        "" | "." => Some(depth),
        ".." => Some(depth.saturating_sub(1)),
        _ => depth.checked_add(1),
    });
    depth == Some(0)
}

/// Whether a path leaves the place it starts from on its way.
fn climbs(path: &str) -> bool {
    let depth = path.split('/').try_fold(0usize, |depth, part| match part {
        "" | "." => Some(depth),
        ".." => depth.checked_sub(1),
        _ => depth.checked_add(1),
    });
    depth.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_reads_back_as_it_is_written() {
        for text in ["./data:/app/data", "uploads:/app/uploads:ro", "/srv/x:/x", "sub/dir:/d"] {
            assert_eq!(text.parse::<VolumeMount>().map(|v| v.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_would_hand_over_the_host_is_refused() {
        use InvalidVolume::{EngineSocket, Outside, Root};
        for (text, expected) in [
            ("/:/host", Root),
            ("/srv/..:/host", Root),
            ("//:/host:ro", Root),
            ("/var/run/docker.sock:/var/run/docker.sock", EngineSocket("/var/run/docker.sock".to_owned())),
            ("../other:/data", Outside("../other".to_owned())),
            ("./a/../../b:/data", Outside("./a/../../b".to_owned())),
        ] {
            assert_eq!(text.parse::<VolumeMount>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_volume_needs_both_sides() {
        for bad in
            ["", "data", ":/data", "data:", "data:relative", "a:/b:rx", "a:/b:ro:x", "sp ace:/x", "a:/"]
        {
            assert!(bad.parse::<VolumeMount>().is_err(), "{bad}");
        }
    }
}
