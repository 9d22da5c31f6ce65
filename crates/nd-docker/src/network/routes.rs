//! The host's own routes: a bridge over one of them would cut it off.

use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// The subnets that the host has routes to, the default route apart. Where they cannot be read, none: the engine itself
/// refuses what overlaps with other networks of its own.
pub(super) async fn of_host() -> Vec<Subnet> {
    let read = nd_supervise::blocking("read routes", || std::fs::read_to_string("/proc/net/route"));
    match read.await {
        Ok(Ok(table)) => parse(&table),
        _ => Vec::new(),
    }
}

/// Reads the kernel's table: one route a line, numbers in hexadecimal and in the host's byte order.
fn parse(table: &str) -> Vec<Subnet> {
    let number = |text: Option<&str>| text.and_then(|text| u32::from_str_radix(text, 16).ok());
    let route = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        let destination = number(columns.next())?;
        let mask = number(columns.nth(5))?;
        let address = Ipv4Addr::from(destination.to_ne_bytes());
        (mask != 0).then(|| Subnet::around(address, mask.count_ones()))
    };
    table.lines().filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_gives_every_route_but_the_default_one() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     vpn\t0000530A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     junk\n";
        let routes: Vec<String> = parse(table).iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["172.17.0.0/16", "10.83.0.0/16"]);
    }
}
