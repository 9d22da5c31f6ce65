//! Which TCP ports are listened on, and by whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

/// A port that somebody listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenPort {
    /// The port.
    pub port: u16,
    /// The addresses it is open on.
    pub addresses: Vec<IpAddr>,
    /// Whose it is, where this user may see that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// A listening socket, as `/proc/net/tcp` has it (proc_pid_net(5)).
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// All of them, by number.
pub(crate) fn open() -> Vec<OpenPort> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<Socket> = tables.iter().flat_map(|table| table.lines().filter_map(socket)).collect();
    let owners = owners(&sockets.iter().map(|socket| socket.inode).collect());
    let mut ports: BTreeMap<u16, OpenPort> = BTreeMap::new();
    for socket in sockets {
        let entry = ports.entry(socket.port).or_insert_with(|| OpenPort {
            port: socket.port,
            addresses: Vec::new(),
            process: None,
            pid: None,
        });
        if !entry.addresses.contains(&socket.address) {
            entry.addresses.push(socket.address);
        }
        if let Some((pid, name)) = owners.get(&socket.inode) {
            (entry.pid, entry.process) = (Some(*pid), Some(name.clone()));
        }
    }
    ports.into_values().collect()
}

/// `0: 0100007F:20B3 00000000:0000 0A … uid timeout inode`
fn socket(line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let (_, state) = (fields.next()?, fields.next()?);
    if state != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Socket { address: parsed(address)?, port: u16::from_str_radix(port, 16).ok()?, inode })
}

/// Words of 32 bits in hexadecimal, each in the byte order of the machine.
fn parsed(text: &str) -> Option<IpAddr> {
    let word = |index: usize| {
        let word = text.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let bytes: [u8; 16] = words.try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// Which process holds which socket. Those of other users are seen by root alone.
fn owners(wanted: &BTreeSet<u64>) -> HashMap<u64, (u32, String)> {
    let mut owners = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return owners };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for file in files.filter_map(Result::ok) {
            let Some(inode) = fs::read_link(file.path()).ok().and_then(|link| inode(link.to_str()?)) else {
                continue;
            };
            if wanted.contains(&inode) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                owners.entry(inode).or_insert((pid, name.trim().to_owned()));
            }
        }
    }
    owners
}

/// `socket:[12345]`
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_that_is_listened_on_is_found_with_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = open().into_iter().find(|open| open.port == port).unwrap();
        assert_eq!(found.addresses, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(found.pid, Some(std::process::id()));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_read_in_both_families() {
        assert_eq!(parsed("0100007F").unwrap().to_string(), "127.0.0.1");
        assert_eq!(parsed("00000000000000000000000001000000").unwrap().to_string(), "::1");
        assert_eq!(parsed("0000000000000000FFFF00000100007F").unwrap().to_string(), "127.0.0.1");
        assert_eq!(parsed("01"), None);
    }

    #[test]
    fn a_socket_that_does_not_listen_is_left_out() {
        let line = |state: &str| {
            format!(
                "   0: 0100007F:20B3 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 4711 1"
            )
        };
        assert_eq!(socket(&line("0A")).map(|socket| (socket.port, socket.inode)), Some((8371, 4711)));
        assert!(socket(&line("01")).is_none());
    }
}
