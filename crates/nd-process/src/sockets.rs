//! Listening TCP sockets: those that `/proc/<pid>/fd` names, as the kernel tells over netlink or in
//! `/proc/<pid>/net/tcp{,6}`.

mod diag;

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::{fs, io};

use nd_core::ports::Socket;

/// `TCP_LISTEN` of the kernel's `tcp_states.h`, as it stands in the table.
const LISTEN: &str = "0A";

/// The sockets in state LISTEN that any of these processes holds open, in order.
///
/// # Errors
/// When none of the tables can be read.
pub(crate) fn listening(pids: &[u32]) -> io::Result<Vec<Socket>> {
    let held: HashSet<u64> = pids.iter().flat_map(|pid| socket_inodes(*pid)).collect();
    if held.is_empty() {
        return Ok(Vec::new());
    }
    if pids.first().is_some_and(|pid| diag::shares_network(*pid)) {
        // Where a sandbox forbids the question, the table has the answer too.
        if let Ok(found) = diag::listening(&held) {
            return Ok(found.into_iter().collect::<BTreeSet<_>>().into_iter().collect());
        }
    }
    from_tables(pids, &held)
}

/// The same from `/proc`, which needs milliseconds for it.
fn from_tables(pids: &[u32], held: &HashSet<u64>) -> io::Result<Vec<Socket>> {
    let mut found = BTreeSet::new();
    let mut failure = None;
    let mut any_read = false;
    // The first process speaks for all: its tables are those of its network namespace.
    for pid in pids {
        for table in ["tcp", "tcp6"] {
            match fs::read_to_string(format!("/proc/{pid}/net/{table}")) {
                Ok(text) => {
                    any_read = true;
                    found.extend(text.lines().skip(1).filter_map(|line| row(line, held)));
                }
                Err(error) => failure = Some(error),
            }
        }
        if any_read {
            break;
        }
    }
    match failure {
        Some(error) if !any_read => Err(error),
        _ => Ok(found.into_iter().collect()),
    }
}

fn socket_inodes(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// One line of the table: number, local address, remote address, state, …, inode as the tenth.
fn row(line: &str, held: &HashSet<u64>) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    held.contains(&inode).then(|| address(local)).flatten()
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, the port in network order.
fn address(text: &str) -> Option<Socket> {
    let (ip, port) = text.split_once(':')?;
    let port = NonZeroU16::new(u16::from_str_radix(port, 16).ok()?)?;
    let words: Vec<[u8; 4]> = (0..ip.len())
        .step_by(8)
        .map(|at| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [v4] => IpAddr::V4(Ipv4Addr::from(*v4)),
        [a, b, c, d] => {
            let mut octets = [0; 16];
            for (to, from) in octets.iter_mut().zip([a, b, c, d].into_iter().flatten()) {
                *to = *from;
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(Socket { ip, port })
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap();
        let found = listening(&[std::process::id()]).unwrap();
        assert!(found.contains(&Socket { ip: Ipv4Addr::LOCALHOST.into(), port }), "{found:?}");
        let held = socket_inodes(std::process::id()).into_iter().collect();
        let from_tables = from_tables(&[std::process::id()], &held).unwrap();
        assert!(from_tables.contains(&Socket { ip: Ipv4Addr::LOCALHOST.into(), port }), "{from_tables:?}");
        let SocketAddr::V4(_) = listener.local_addr().unwrap() else { panic!("not v4") };
        drop(listener);
        assert!(!listening(&[std::process::id()]).unwrap().iter().any(|socket| socket.port == port));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_address_is_read_as_the_kernel_writes_it() {
        let socket =
            |ip: &str, port| Socket { ip: ip.parse().unwrap(), port: NonZeroU16::new(port).unwrap() };
        assert_eq!(address("0100007F:1F90"), Some(socket("127.0.0.1", 8080)));
        assert_eq!(address("00000000000000000000000001000000:0BB8"), Some(socket("::1", 3000)));
        assert_eq!(address("00000000000000000000000000000000:0050"), Some(socket("::", 80)));
        assert_eq!(address("0100007F:0000"), None);
        assert_eq!(address("0100"), None);
    }

    #[test]
    fn only_listening_sockets_of_the_right_processes_count() {
        let line = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1";
        assert!(row(line, &HashSet::from([4711])).is_some());
        assert!(row(line, &HashSet::from([1])).is_none());
        assert!(row(&line.replace(" 0A ", " 01 "), &HashSet::from([4711])).is_none());
    }
}
