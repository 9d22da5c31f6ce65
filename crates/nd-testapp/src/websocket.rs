//! A WebSocket (RFC 6455) that echoes: handshake, frames, and the closing handshake.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::{base64, sha1};
use crate::http::Framing;
use crate::server::Exchange;

/// The most bytes a frame may carry.
pub const MAX_FRAME: u64 = 16 * 1024 * 1024;

const ACCEPT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The open WebSockets, so that a stopping application can say goodbye on each.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Mutex<(u64, HashMap<u64, SharedWriter>)>,
}

/// The way out of one socket. Two threads write to it; frames must not mix, and none may follow a Close.
#[derive(Debug)]
struct Writer {
    stream: TcpStream,
    closed: bool,
}

type SharedWriter = Arc<Mutex<Writer>>;

impl Sockets {
    /// Sends Close 1001 (going away) on each.
    pub fn close_all(&self) {
        for writer in self.lock().1.values() {
            // A peer that is gone needs no goodbye.
            write_frame(writer, CLOSE, true, &1001_u16.to_be_bytes()).ok();
        }
    }

    fn add(&self, stream: TcpStream) -> (u64, SharedWriter) {
        let mut open = self.lock();
        open.0 += 1;
        let id = open.0;
        let writer = Arc::new(Mutex::new(Writer { stream, closed: false }));
        open.1.insert(id, Arc::clone(&writer));
        (id, writer)
    }

    fn remove(&self, id: u64) {
        self.lock().1.remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, SharedWriter>)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/ws`: answers the handshake, then echoes until one side closes.
///
/// # Errors
/// The error of the connection.
pub fn serve(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let head = exchange.head;
    let key = head.header("sec-websocket-key").filter(|_| head.has_token("upgrade", "websocket"));
    let Some(key) = key else {
        exchange.body()?.skip()?;
        return exchange.answer("426 Upgrade Required", "text/plain", b"a WebSocket lives here\n");
    };
    exchange.begin("101 Switching Protocols", "", Framing::Upgrade)?;
    let rest = format!(
        "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
        accept_of(key)
    );
    exchange.out.write_all(rest.as_bytes())?;
    exchange.close = true;

    let (id, writer) = exchange.app.sockets.add(exchange.out.try_clone()?);
    if exchange.app.gate.stopping() {
        exchange.app.sockets.close_all();
    }
    let result = echo(exchange.reader, &writer);
    exchange.app.sockets.remove(id);
    result
}

/// The answer to a handshake's key (RFC 6455, section 4.2.2).
#[must_use]
pub fn accept_of(key: &str) -> String {
    base64(&sha1(format!("{key}{ACCEPT}").as_bytes()))
}

/// One frame, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is the last of its message.
    pub fin: bool,
    /// What it is (RFC 6455, section 11.8).
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Reads the next frame of a client, which must be masked (RFC 6455, section 5.1).
///
/// # Errors
/// [`ErrorKind::InvalidData`] for a frame that breaks the protocol, else the error of the connection.
pub fn read_frame(reader: &mut impl Read) -> io::Result<Frame> {
    let [first, second] = read_array(reader)?;
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(read_array(reader)?)),
        127 => u64::from_be_bytes(read_array(reader)?),
        short => u64::from(short),
    };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    let control = opcode >= CLOSE;
    if first & 0x70 != 0 || second & 0x80 == 0 || length > MAX_FRAME || control && (!fin || length > 125) {
        return Err(io::Error::new(ErrorKind::InvalidData, "frame against RFC 6455, section 5"));
    }
    let mask: [u8; 4] = read_array(reader)?;
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
    reader.read_exact(&mut payload)?;
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok(Frame { fin, opcode, payload })
}

/// Frames go back as they came, fragments included; what is no UTF-8 text comes back as such.
fn echo(reader: &mut impl Read, writer: &SharedWriter) -> io::Result<()> {
    loop {
        let frame = match read_frame(reader) {
            Ok(frame) => frame,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return write_frame(writer, CLOSE, true, &1002_u16.to_be_bytes());
            }
            Err(error) => return Err(error),
        };
        match frame.opcode {
            CLOSE => {
                let code = frame.payload.get(..2).unwrap_or_default();
                return write_frame(writer, CLOSE, true, code);
            }
            PING => write_frame(writer, PONG, true, &frame.payload)?,
            PONG => {}
            data => write_frame(writer, data, frame.fin, &frame.payload)?,
        }
    }
}

fn write_frame(writer: &SharedWriter, opcode: u8, fin: bool, payload: &[u8]) -> io::Result<()> {
    let mut bytes = vec![if fin { 0x80 | opcode } else { opcode }];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    if writer.closed {
        return Ok(());
    }
    writer.closed = opcode == CLOSE;
    writer.stream.write_all(&bytes)
}

fn read_array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_rfc_6455_gives_its_answer() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_masked_hello_of_rfc_6455_is_read() {
        let mut wire = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".as_slice();
        let frame = read_frame(&mut wire).unwrap();
        assert_eq!(frame, Frame { fin: true, opcode: 1, payload: b"Hello".to_vec() });
    }

    #[test]
    fn an_unmasked_frame_is_refused() {
        let error = read_frame(&mut b"\x81\x05Hello".as_slice()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
