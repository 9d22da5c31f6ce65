//! The addresses of this machine's network cards, as the kernel lists them (proc(5)).

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every address that packets to this machine may carry; none where the kernel has no such lists.
pub(crate) fn own() -> BTreeSet<IpAddr> {
    let table = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let six = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    of_table(&table).map(IpAddr::V4).chain(of_cards(&six).map(IpAddr::V6)).collect()
}

/// Whether the whole net may reach it (the special blocks of RFC 6890 aside).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let shared = matches!(four.octets(), [100, second, ..] if (64..128).contains(&second));
            !(four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || four.is_unspecified()
                || four.is_broadcast()
                || four.is_documentation()
                || shared)
        }
        IpAddr::V6(six) => {
            !(six.is_loopback()
                || six.is_unspecified()
                || six.is_unique_local()
                || six.is_unicast_link_local())
        }
    }
}

/// Addresses in `fib_trie`: a line with one, followed by a line that says it is local.
fn of_table(table: &str) -> impl Iterator<Item = Ipv4Addr> {
    table.lines().zip(table.lines().skip(1)).filter_map(|(address, about)| {
        let local = about.trim_start().starts_with("/32 host LOCAL");
        let address = address.trim_start().strip_prefix("|-- ")?;
        local.then(|| address.parse().ok()).flatten()
    })
}

/// Addresses in `if_inet6`: each line begins with one of 32 digits.
fn of_cards(six: &str) -> impl Iterator<Item = Ipv6Addr> {
    six.lines().filter_map(|line| u128::from_str_radix(line.get(..32)?, 16).ok().map(Ipv6Addr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_told_from_broadcasts_and_networks() {
        let table = "  |-- 10.0.0.0\n     /24 link UNICAST\n  |-- 10.0.0.7\n     /32 host LOCAL\n  |-- 10.0.0.255\n     /32 link BROADCAST\n";
        assert_eq!(of_table(table).collect::<Vec<_>>(), [Ipv4Addr::new(10, 0, 0, 7)]);
        let cards = "00000000000000000000000000000001 01 80 10 80 lo\n";
        assert_eq!(of_cards(cards).collect::<Vec<_>>(), [Ipv6Addr::LOCALHOST]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_its_loopback_address() {
        assert!(own().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn private_addresses_are_not_public() {
        for private in ["10.1.2.3", "100.64.0.1", "127.0.0.1", "fe80::1", "fd00::1", "::1"] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        assert!(is_public("8.8.8.8".parse().unwrap()) && is_public("2001:4860::8888".parse().unwrap()));
    }
}
