//! Which process has a port, from `/proc`: the first question of everyone whose port is taken.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Names the process that listens on the port, as in `nginx (pid 12)`; `None` where the system does not tell.
pub(crate) fn of_port(address: SocketAddr) -> Option<String> {
    let inode =
        listening_inode("/proc/net/tcp", address).or_else(|| listening_inode("/proc/net/tcp6", address))?;
    let link = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    let pid = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(
        |pid| {
            let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            files
                .filter_map(|file| fs::read_link(file.path()).ok())
                .any(|target| target.as_os_str() == link.as_str())
        },
    )?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim()))
}

fn listening_inode(table: &str, address: SocketAddr) -> Option<String> {
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = words.as_slice() else { return None };
        let (ip, port) = local.split_once(':')?;
        let same_port = u16::from_str_radix(port, 16).ok()? == address.port();
        (*state == LISTEN && same_port && overlaps(ip, address)).then(|| (*inode).to_owned())
    })
}

/// Whether a local address of the table and the wanted one cannot both be bound.
fn overlaps(hex: &str, address: SocketAddr) -> bool {
    let is_any = hex.bytes().all(|b| b == b'0');
    is_any || address.ip().is_unspecified() || hex == table_form(address)
}

/// The kernel prints addresses as 32-bit words in the machine's byte order.
fn table_form(address: SocketAddr) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    match address {
        SocketAddr::V4(v4) => word(Ipv4Addr::octets(v4.ip())),
        SocketAddr::V6(v6) => {
            let octets = Ipv6Addr::octets(v6.ip());
            let words = octets.chunks_exact(4).filter_map(|chunk| <[u8; 4]>::try_from(chunk).ok());
            words.map(word).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_has_no_holder() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(of_port(address).is_some());
        drop(listener);
        assert_eq!(of_port(address), None);
    }
}
