//! What `check` looks at.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nd_types::{AppName, InvalidName};

/// One thing that is to run, and who runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An app of the daemon.
    App(AppName),
    /// A container of the Docker engine, by name or id.
    Docker(String),
    /// A unit of systemd; without a suffix it is a service.
    Systemd(String),
    /// A process of PM2, by name or number; a name may stand for several.
    Pm2(String),
    /// All services of a Compose file.
    Compose(PathBuf),
}

/// Why a word is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Nothing behind the colon, or what a manager's command would take for a flag.
    #[error("target `{0}` does not say which {1}; write {2}")]
    Nameless(String, &'static str, &'static str),
    /// A manager that is not known.
    #[error("target `{0}`: `{1}` is not one of docker, systemd, pm2, compose")]
    Manager(String, String),
    /// No name of an app.
    #[error("target `{0}` is neither an app ({1}) nor docker:NAME, systemd:UNIT, pm2:NAME or compose:FILE")]
    App(String, InvalidName),
}

impl Target {
    /// Whether the word names a target for certain: it says who runs it.
    #[must_use]
    pub fn names_manager(word: &str) -> bool {
        ["docker:", "systemd:", "pm2:", "compose:"].iter().any(|manager| word.starts_with(manager))
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;
    fn from_str(word: &str) -> Result<Self, InvalidTarget> {
        let Some((manager, name)) = word.split_once(':') else {
            return word.parse().map(Self::App).map_err(|error| InvalidTarget::App(word.to_owned(), error));
        };
        let nameless = |what, form| InvalidTarget::Nameless(word.to_owned(), what, form);
        // A name that begins so would be read as a flag by its manager.
        let is_name = !name.is_empty() && !name.starts_with('-');
        match manager {
            "docker" if is_name => Ok(Self::Docker(name.to_owned())),
            "docker" => Err(nameless("container", "docker:NAME")),
            "systemd" if is_name => Ok(Self::Systemd(name.to_owned())),
            "systemd" => Err(nameless("unit", "systemd:UNIT")),
            "pm2" if is_name => Ok(Self::Pm2(name.to_owned())),
            "pm2" => Err(nameless("process", "pm2:NAME")),
            "compose" if !name.is_empty() => Ok(Self::Compose(Path::new(name).to_owned())),
            "compose" => Err(nameless("file", "compose:FILE")),
            other => Err(InvalidTarget::Manager(word.to_owned(), other.to_owned())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app) => f.write_str(app.as_str()),
            Self::Docker(name) => write!(f, "docker:{name}"),
            Self::Systemd(unit) => write!(f, "systemd:{unit}"),
            Self::Pm2(name) => write!(f, "pm2:{name}"),
            Self::Compose(file) => write!(f, "compose:{}", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_shown_as_it_is_typed() {
        for word in ["shop", "docker:db", "systemd:nginx.service", "pm2:0", "compose:./a b/compose.yml"] {
            assert_eq!(word.parse::<Target>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn a_wrong_target_is_told_how_to_be_written() {
        for (word, message) in [
            ("docker:", "does not say which container; write docker:NAME"),
            ("docker:--help", "does not say which container"),
            ("systemd:-H", "does not say which unit"),
            ("podman:x", "`podman` is not one of docker, systemd, pm2, compose"),
            ("Shop", "is neither an app (app name"),
        ] {
            let error = word.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(message), "{word}: {error}");
        }
    }
}
