//! Where the daemon is.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A unix socket of this machine.
    Unix(PathBuf),
    /// `HOST:PORT`, spoken to in plain HTTP.
    Tcp(String),
}

/// Why a text does not say where a daemon is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// A scheme that this version does not speak.
    #[error("host `{0}`: {1} is not supported yet by this version; use unix:///PATH or http://HOST:PORT")]
    NotYet(String, &'static str),
    /// Not the form of a host.
    #[error(
        "`{0}` is not a host; write it as unix:///run/nextdeploy/nextdeployd.sock or http://127.0.0.1:8371"
    )]
    Form(String),
}

/// The port of the API where none is written.
const PORT: u16 = 8371;

impl Host {
    /// The daemon of this machine: this user's own one where it has a socket, else the system's.
    #[must_use]
    pub fn local(uid: u32) -> Self {
        let system = PathBuf::from("/run/nextdeploy/nextdeployd.sock");
        if uid == 0 {
            return Self::Unix(system);
        }
        let own = std::env::var_os("XDG_RUNTIME_DIR")
            .map_or_else(
                || PathBuf::from(format!("/tmp/nextdeploy-{uid}")),
                |dir| Path::new(&dir).join("nextdeploy"),
            )
            .join("nextdeployd.sock");
        Self::Unix(if !is_of(uid, &own) && system.exists() { system } else { own })
    }

    /// Whether the daemon runs on this machine, so that it sees the same files.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(authority) => {
                let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
                host == "localhost" || host == "[::1]" || host.starts_with("127.")
            }
        }
    }
}

/// In `/tmp` anybody may lay out a socket of that name; only one of this user's is trusted with what a deployment holds.
fn is_of(uid: u32, socket: &Path) -> bool {
    std::fs::symlink_metadata(socket).is_ok_and(|found| found.uid() == uid)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || InvalidHost::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(form()) };
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let authority = match text.split_once("://") {
            Some(("http", authority)) => authority.trim_end_matches('/'),
            Some(("https", _)) => return Err(InvalidHost::NotYet(text.to_owned(), "https")),
            Some(("ssh", _)) => return Err(InvalidHost::NotYet(text.to_owned(), "ssh")),
            Some(_) => return Err(form()),
            None => text,
        };
        let parsed: http::uri::Authority = authority.parse().map_err(|_| form())?;
        if parsed.host().is_empty() || parsed.as_str().contains('@') {
            return Err(form());
        }
        Ok(Self::Tcp(format!("{}:{}", parsed.host(), parsed.port_u16().unwrap_or(PORT))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_socket_or_an_address() {
        assert_eq!("unix:///a/b.sock".parse(), Ok(Host::Unix("/a/b.sock".into())));
        assert_eq!("/a/b.sock".parse(), Ok(Host::Unix("/a/b.sock".into())));
        assert_eq!("http://127.0.0.1:9000/".parse(), Ok(Host::Tcp("127.0.0.1:9000".to_owned())));
        assert_eq!("localhost".parse(), Ok(Host::Tcp("localhost:8371".to_owned())));
        assert_eq!("[::1]:9000".parse(), Ok(Host::Tcp("[::1]:9000".to_owned())));
    }

    #[test]
    fn what_is_not_spoken_yet_is_said() {
        assert!(matches!("ssh://deploy@vps".parse::<Host>(), Err(InvalidHost::NotYet(_, "ssh"))));
        assert!(matches!("https://vps".parse::<Host>(), Err(InvalidHost::NotYet(_, "https"))));
        for bad in ["unix://relative", "ftp://x", "", "a b", "http://"] {
            assert!(matches!(bad.parse::<Host>(), Err(InvalidHost::Form(_))), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_sees_the_same_files() {
        let local = |text: &str| text.parse::<Host>().map(|host| host.is_local());
        assert_eq!(local("http://127.0.0.1:1"), Ok(true));
        assert_eq!(local("http://[::1]:1"), Ok(true));
        assert_eq!(local("http://192.0.2.1:1"), Ok(false));
    }
}
