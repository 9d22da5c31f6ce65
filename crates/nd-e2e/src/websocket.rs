//! A WebSocket client (RFC 6455), which sees every frame.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use nd_testapp::websocket::accept_of;

use crate::http::{Answer, Connection, Target};

/// What opens a connection; any 16 bytes would do.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Masks every frame of ours (RFC 6455, section 5.3); no secret, only against confused proxies.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;

/// One open socket.
#[derive(Debug)]
pub struct Socket {
    connection: Connection,
    /// The head of the answer that opened it.
    pub head: Answer,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is (RFC 6455, section 11.8).
    pub opcode: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a Close (RFC 6455, section 7.4).
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        match (self.opcode, self.payload.as_slice()) {
            (CLOSE, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }

    /// What it carries, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

impl Socket {
    /// Opens one; `patience` limits each wait for bytes.
    ///
    /// # Errors
    /// The error of the connection, or another answer than 101.
    pub fn open(target: &Target, host: &str, path: &str, patience: Duration) -> io::Result<Self> {
        let mut connection = Connection::open(target, host, patience)?;
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        connection.send("GET", path, &headers, b"")?;
        let head = connection.read_head()?;
        if head.status != 101 || head.header("sec-websocket-accept") != Some(accept_of(KEY).as_str()) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("no WebSocket: status {}", head.status),
            ));
        }
        Ok(Self { connection, head })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes())
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn send_close(&mut self, code: u16) -> io::Result<()> {
        self.send(CLOSE, &code.to_be_bytes())
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// The error of the connection; [`ErrorKind::UnexpectedEof`] when it was cut without a Close.
    pub fn read(&mut self) -> io::Result<Frame> {
        let [first, second] = self.bytes()?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.bytes()?)),
            127 => u64::from_be_bytes(self.bytes()?),
            short => u64::from(short),
        };
        if second & 0x80 != 0 || length > 1 << 24 {
            return Err(io::Error::new(ErrorKind::InvalidData, "a masked or oversized frame from a server"));
        }
        let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
        Reader(&mut self.connection).read_exact(&mut payload)?;
        Ok(Frame { opcode: first & 0x0f, payload })
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
        let length =
            length.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a message over 125 bytes"))?;
        let mut frame = vec![0x80 | opcode, 0x80 | length];
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.connection.write(&frame)
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        Reader(&mut self.connection).read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

struct Reader<'a>(&'a mut Connection);

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
