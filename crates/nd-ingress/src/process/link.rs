//! One connection between two of our processes: JSON messages, and open sockets that travel with them.
//!
//! A message is its length and the number of its sockets (two 32-bit numbers, little-endian), then the sockets
//! (`SCM_RIGHTS`, unix(7)) with one byte per portion, then the JSON.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Who is at the other end reads and writes at once; one that does not has a fault.
pub(super) const PEER: Duration = Duration::from_secs(5);

/// Sockets per portion; the kernel takes 253 (`SCM_MAX_FD`).
const PORTION: usize = 128;
/// More is no message of ours.
const LONGEST: usize = 256 << 20;
/// More sockets are no message of ours.
const MOST_SOCKETS: usize = 65_536;

/// Sends one message; `fds` arrive as duplicates.
///
/// # Errors
/// When the peer has gone, or does not read within the socket's time limit.
pub(super) fn send<T: Serialize>(stream: &UnixStream, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let mut head = [0; 8];
    let (length, count) = head.split_at_mut(4);
    length.copy_from_slice(&number(body.len())?.to_le_bytes());
    count.copy_from_slice(&number(fds.len())?.to_le_bytes());
    let mut stream = stream;
    stream.write_all(&head)?;
    for portion in fds.chunks(PORTION) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PORTION))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(portion));
        sendmsg(stream, &[IoSlice::new(b"F")], &mut control, SendFlags::NOSIGNAL)?;
    }
    stream.write_all(&body)
}

/// Receives one message; `None` when the peer has closed.
///
/// # Errors
/// When it ends in the middle, or is none of ours.
pub(super) fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut head = [0; 8];
    let mut stream = stream;
    match stream.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        // The peer died with something of ours unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, c, d, e, f, g, h] = head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(io::Error::other)?;
    let count = usize::try_from(u32::from_le_bytes([e, f, g, h])).map_err(io::Error::other)?;
    if length > LONGEST || count > MOST_SOCKETS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of impossible size"));
    }
    let mut fds = Vec::with_capacity(count);
    while fds.len() < count {
        receive_portion(stream, &mut fds)?;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, fds)))
}

fn receive_portion(stream: &UnixStream, fds: &mut Vec<OwnedFd>) -> io::Result<()> {
    let before = fds.len();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PORTION))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if fds.len() == before {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the sockets of a message did not come"));
    }
    Ok(())
}

fn number(count: usize) -> io::Result<u32> {
    u32::try_from(count).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn sockets_arrive_with_their_message_in_their_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let listeners: Vec<_> = (0..300).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let fds: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
        send(&here, &"first", &[]).unwrap();
        let (text, none) = receive::<String>(&there).unwrap().unwrap();
        assert_eq!((text.as_str(), none.len()), ("first", 0));

        let text = "x".repeat(1000);
        send(&here, &text, &fds).unwrap();
        let (received, fds) = receive::<String>(&there).unwrap().unwrap();
        let addresses = fds.into_iter().map(|fd| TcpListener::from(fd).local_addr().unwrap());
        assert!(received == text && addresses.eq(listeners.iter().map(|l| l.local_addr().unwrap())));
        drop(here);
        assert!(receive::<String>(&there).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[0xff; 8]).unwrap();
        assert_eq!(receive::<String>(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
