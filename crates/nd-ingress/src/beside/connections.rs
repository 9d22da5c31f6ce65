//! How many connections lead to some addresses, as Linux lists them (proc(5), `/proc/net/tcp`).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Open ones, and those that are being opened.
const STATES: [&str; 2] = ["01", "02"];

/// The connections of this machine that lead to one of these addresses, whoever opened them. None where the system has no
/// such list.
pub(super) async fn to(addresses: &BTreeSet<SocketAddr>) -> u64 {
    let ends: Vec<String> = addresses.iter().flat_map(written).collect();
    let mut count = 0;
    for list in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let list = tokio::fs::read_to_string(list).await.unwrap_or_default();
        count += list.lines().filter(|line| leads_to(line, &ends)).count();
    }
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn leads_to(line: &str, ends: &[String]) -> bool {
    let mut words = line.split_ascii_whitespace().skip(2);
    let (remote, state) = (words.next(), words.next());
    state.is_some_and(|state| STATES.contains(&state))
        && remote.is_some_and(|remote| ends.iter().any(|end| end == remote))
}

/// How an address stands in the lists: words of four bytes in the order of the machine, an IPv4 one in both of its forms.
fn written(address: &SocketAddr) -> Vec<String> {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let long = |octets: [u8; 16]| -> String {
        let (words, _) = octets.as_chunks::<4>();
        words.iter().map(|bytes| word(*bytes)).collect()
    };
    let ips = match address.ip() {
        IpAddr::V4(ip) => vec![word(ip.octets()), long(ip.to_ipv6_mapped().octets())],
        IpAddr::V6(ip) => vec![long(ip.octets())],
    };
    ips.into_iter().map(|ip| format!("{ip}:{:04X}", address.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_to_the_address_is_seen_and_no_other() {
        let ends = written(&"127.0.0.1:8080".parse().unwrap());
        let line = |local: &str, remote: &str, state: &str| {
            leads_to(&format!("   0: {local} {remote} {state} 00000000:00000000 00:00000000 0"), &ends)
        };
        assert!(line("0100007F:9C40", "0100007F:1F90", "01"));
        assert!(line("0000000000000000FFFF00000100007F:9C40", "0000000000000000FFFF00000100007F:1F90", "02"));
        assert!(!line("0100007F:1F90", "0100007F:9C40", "01"), "the other end of it");
        assert!(!line("0100007F:9C40", "0100007F:1F90", "06"), "one that was closed");
        assert!(!leads_to("  sl  local_address rem_address   st tx_queue", &ends));
    }

    #[tokio::test]
    async fn connections_are_counted_while_they_are_open() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = BTreeSet::from([listener.local_addr().unwrap()]);
        assert_eq!(to(&addresses).await, 0);
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(to(&addresses).await, 1);
    }
}
