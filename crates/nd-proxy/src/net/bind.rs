//! Listening sockets: one per worker on the same address, all listening before any accepts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::holder;

/// Connections the kernel keeps for us until they are accepted; capped by `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;
/// Idle connections are probed, so that a vanished peer is noticed within about 3 minutes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A port that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {source}{}", held_by(.holder.as_deref()))]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// The process that has it, where the system tells.
    pub holder: Option<String>,
    /// What the system said.
    pub source: io::Error,
}

fn held_by(holder: Option<&str>) -> String {
    holder.map(|holder| format!(", it is held by {holder}")).unwrap_or_default()
}

/// Opens `count` sockets on one address; with port 0 the system chooses a port for all of them.
///
/// A port that any other socket has, even one that is willing to share, is an error.
pub(crate) fn bind_set(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    let describe = |source: io::Error| {
        let holder = (source.kind() == io::ErrorKind::AddrInUse).then(|| holder::of_port(address)).flatten();
        BindError { address, holder, source }
    };
    if address.port() != 0 {
        open(address, Sharing::Exclusive).map_err(describe)?;
    }
    let first = open(address, Sharing::AmongWorkers).map_err(describe)?;
    let address = first.local_addr().map_err(describe)?;
    let mut set = vec![first];
    while set.len() < count {
        set.push(open(address, Sharing::AmongWorkers).map_err(describe)?);
    }
    Ok(set)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    AmongWorkers,
}

/// Options of the listener pass on to the connections it accepts, which saves system calls for each of them.
fn open(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if sharing == Sharing::AmongWorkers {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, TCP_KEEPALIVE)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_of_a_set_share_the_port_the_system_chose() {
        let set = bind_set("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let mut ports: Vec<_> = set.iter().map(|l| l.local_addr().unwrap().port()).collect();
        ports.dedup();
        assert!(set.len() == 3 && ports.len() == 1 && !ports.contains(&0), "{ports:?}");
    }

    #[test]
    fn a_taken_port_is_refused_with_the_name_of_its_holder() {
        let set = bind_set("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let error = bind_set(set.first().unwrap().local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&format!("(pid {})", std::process::id())), "{error}");
    }
}
