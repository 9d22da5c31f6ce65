//! Addresses for servers of tests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Above the ports that daemons lease, and below those that Linux gives to clients (`ip_local_port_range`): nobody gets
/// one by chance while its server starts, or starts anew.
const FIRST: u16 = 30_000;
const PORTS: u32 = 2_768;

/// How many this process has given away.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// An address of loopback where nobody listens, neither on TCP nor on UDP. This process gets it once, until all were
/// given.
///
/// # Errors
/// When all ports are taken.
pub fn free_address() -> io::Result<SocketAddr> {
    // Each process begins somewhere else.
    let start = std::process::id().wrapping_mul(37);
    for _ in 0..PORTS {
        let next = start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST.saturating_add(u16::try_from(next % PORTS).unwrap_or_default());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("all {PORTS} ports from {FIRST} on are taken")))
}
