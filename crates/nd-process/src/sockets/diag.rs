//! Listening TCP sockets, asked of the kernel over netlink (sock_diag(7)).
//!
//! `/proc/net/tcp` walks the whole table of connections, which takes milliseconds on a machine that has none; this walks
//! the listeners alone.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{fs, io};

use nd_core::ports::Socket;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, `NLMSG_ERROR`, `NLMSG_DONE` (netlink(7), sock_diag(7)).
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `IPPROTO_TCP`, and the bit of `TCP_LISTEN`.
const TCP: u8 = 6;
const LISTENING: u32 = 1 << 10;

const FAMILIES: [u8; 2] = [2, 10];

/// The lengths of `struct nlmsghdr`, alone and with `struct inet_diag_req_v2`, and of `struct inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: u32 = 72;
const MESSAGE: usize = 72;

/// The kernel answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// The listening sockets of this network namespace that have one of these inodes.
///
/// # Errors
/// Where the kernel does not answer, or this process may not ask.
pub(super) fn listening(held: &HashSet<u64>) -> io::Result<Vec<Socket>> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let mut found = Vec::new();
    for family in FAMILIES {
        sendto(&socket, &request(family), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        read_answer(&socket, held, &mut found)?;
    }
    Ok(found)
}

/// Whether a process sees the network that this one does.
pub(super) fn shares_network(pid: u32) -> bool {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    of("self").is_some_and(|own| of(&pid.to_string()) == Some(own))
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`. Its rest says which sockets, and nothing matches all.
fn request(family: u8) -> Vec<u8> {
    let mut request = REQUEST.to_ne_bytes().to_vec();
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    request.resize(HEADER, 0);
    request.extend([family, TCP, 0, 0]);
    request.extend(LISTENING.to_ne_bytes());
    request.resize(REQUEST as usize, 0);
    request
}

fn read_answer(socket: &OwnedFd, held: &HashSet<u64>, found: &mut Vec<Socket>) -> io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let (length, _) = recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, message, after)) = split(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(refusal(message)),
                _ => found.extend(listener(message, held)),
            }
            rest = after;
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The kind of the first message, the message, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(field(bytes, 0)?)).ok()?;
    let message = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes(field(bytes, 4)?), message, after))
}

fn refusal(message: &[u8]) -> io::Error {
    let number = field(message, 0).map_or(0, i32::from_ne_bytes);
    io::Error::from_raw_os_error(-number)
}

/// `struct inet_diag_msg`: the family, the port and address in network order, and the inode as the last.
fn listener(message: &[u8], held: &HashSet<u64>) -> Option<Socket> {
    let inode = u32::from_ne_bytes(field(message, MESSAGE - 4)?);
    if !held.contains(&u64::from(inode)) {
        return None;
    }
    let port = NonZeroU16::new(u16::from_be_bytes(field(message, 4)?))?;
    let ip = match message.first()? {
        2 => IpAddr::V4(Ipv4Addr::from(field::<4>(message, 8)?)),
        _ => IpAddr::V6(Ipv6Addr::from(field::<16>(message, 8)?)).to_canonical(),
    };
    Some(Socket { ip, port })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn own() -> HashSet<u64> {
        super::super::socket_inodes(std::process::id()).into_iter().collect()
    }

    #[test]
    fn the_kernel_names_a_listener_and_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let found = listening(&own()).unwrap();
        let named = |port: u16| found.iter().filter(|socket| socket.port.get() == port).count();
        assert_eq!((named(address.port()), named(stream.local_addr().unwrap().port())), (1, 0), "{found:?}");
        assert_eq!(listening(&HashSet::new()).unwrap(), []);
    }

    #[test]
    fn a_listener_of_ipv6_has_its_address() {
        // A machine without IPv6 has none.
        let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
        let port = NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap();
        let found = listening(&own()).unwrap();
        assert!(found.contains(&Socket { ip: Ipv6Addr::LOCALHOST.into(), port }), "{found:?}");
    }

    #[test]
    fn an_answer_that_is_cut_off_names_nobody() {
        let held = HashSet::from([0]);
        assert!(split(&[20, 0, 0, 0, 1]).is_none());
        assert!(listener(&[2; MESSAGE - 1], &held).is_none());
        assert!(listener(&[0; MESSAGE], &held).is_none());
    }

    #[test]
    fn this_process_shares_its_own_network() {
        assert!(shares_network(std::process::id()));
        assert!(!shares_network(u32::MAX));
    }
}
