//! Who is asking.

use std::fs;

/// Who sent a request, as far as the transport proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process of this host, on the unix socket (`SO_PEERCRED`, unix(7)).
    Peer {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
        /// The user's name, where the host knows one.
        name: Option<String>,
    },
    /// Whoever holds the token.
    Token,
    /// A program of this host, trusted because the daemon runs with `--dev`.
    Dev,
    /// Nobody was asked for: the path is open to all.
    Anonymous,
}

impl Caller {
    /// The process at the other end of a unix socket.
    #[must_use]
    pub fn peer(uid: u32, gid: u32) -> Self {
        Self::Peer { uid, gid, name: user_name(uid) }
    }

    /// The name that stands in deployments and events.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Peer { name: Some(name), .. } => name.clone(),
            Self::Peer { uid, name: None, .. } => format!("uid {uid}"),
            Self::Token => "token".to_owned(),
            Self::Dev => "dev".to_owned(),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }
}

/// The name of a user in `/etc/passwd` (passwd(5)).
fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    name_in(&passwd, uid)
}

fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        (id == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\nbroken\n";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("ana"));
        assert_eq!(name_in(passwd, 7), None);
    }

    #[test]
    fn a_user_without_a_name_is_called_by_number() {
        assert_eq!(Caller::Peer { uid: 7, gid: 7, name: None }.actor(), "uid 7");
    }
}
