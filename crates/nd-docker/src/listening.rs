//! Listening sockets of containers, read from the kernel, so that nothing is needed inside the image.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use nd_core::ports::{PortError, PortErrorKind, PortResult, Socket};
use nd_types::UnitId;

use crate::failure::port_error;
use crate::runtime::Shared;
use crate::stats::main_process;

/// Where the engine itself answers DNS queries of containers.
const ENGINE_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The sockets in the network of the unit's main process; none while it does not run.
pub(crate) async fn listening(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<Vec<Socket>> {
    let tried = format!("read the listening sockets of unit {unit}");
    let session = shared.engine.session().await.map_err(|error| port_error(&tried, error))?;
    if !session.local {
        let context = format!("{tried}: the docker engine runs on another machine");
        return Err(
            PortError::new(PortErrorKind::Invalid, context).with_fix("declare the app's port with `port:`")
        );
    }
    let Some(process) = main_process(shared, unit).await? else { return Ok(Vec::new()) };
    let pid = process.pid;
    let read = nd_supervise::blocking("read sockets", move || {
        ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")))
    });
    let tables = read
        .await
        .map_err(|failure| PortError::new(PortErrorKind::Internal, tried.clone()).with_source(failure))?;
    let mut sockets = BTreeSet::new();
    for table in tables {
        match table {
            Ok(table) => sockets.extend(table.lines().filter_map(listener)),
            // It ended meanwhile, or the kernel has no IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = PortError::new(PortErrorKind::Denied, tried).with_source(error);
                return Err(error.with_fix("run the daemon as root"));
            }
        }
    }
    Ok(sockets.into_iter().collect())
}

/// One line of the kernel's table, if it is a socket in the state LISTEN (0A).
fn listener(line: &str) -> Option<Socket> {
    let mut columns = line.split_whitespace().skip(1);
    let (address, port) = columns.next()?.split_once(':')?;
    if columns.nth(1)? != "0A" {
        return None;
    }
    let ip = address_of(address)?;
    let port = NonZeroU16::new(u16::from_str_radix(port, 16).ok()?)?;
    (ip != IpAddr::from(ENGINE_DNS)).then_some(Socket { ip, port })
}

/// Words of 32 bits in hexadecimal, each in the host's byte order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(hex)?).into()),
        32 => {
            let mut bytes = Vec::with_capacity(16);
            for start in [0, 8, 16, 24] {
                bytes.extend(word(hex.get(start..start + 8)?)?);
            }
            let bytes: [u8; 16] = bytes.try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(table: &str) -> Vec<String> {
        table.lines().filter_map(listener).map(|socket| format!("{} {}", socket.ip, socket.port)).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn only_listening_sockets_of_the_app_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
            1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
            2: 0B00007F:8F21 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
            3: 0500530A:1F90 0100530A:C350 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n";
        assert_eq!(parse(table), ["127.0.0.1 3000", "0.0.0.0 8080"]);
        let table6 = "0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1\n\
                      1: 00000000000000000000000001000000:0BB9 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1\n";
        assert_eq!(parse(table6), [":: 3000", "::1 3001"]);
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in ".{0,120}") {
            listener(&line);
        }
    }
}
