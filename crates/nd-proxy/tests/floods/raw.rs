//! HTTP/2 frames by hand (RFC 9113, section 4; RFC 7541 without any compression).

use std::io::Result;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::support::within;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The payload of an RST_STREAM.
pub(crate) const CANCEL: &[u8] = &[0, 0, 0, 8];
const GOAWAY: u8 = 7;

/// A client that says what no library would.
pub(crate) struct Raw {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

pub(crate) struct Reader(OwnedReadHalf);

pub(crate) struct Writer(OwnedWriteHalf);

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Raw {
    /// Connects and says the preface.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = within("connect", TcpStream::connect(address)).await??;
        let (reader, writer) = stream.into_split();
        let mut raw = Self { reader: Reader(reader), writer: Writer(writer) };
        raw.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, b"")].concat()).await?;
        Ok(raw)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.send(bytes).await
    }
}

impl Writer {
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).await
    }
}

impl Reader {
    pub(crate) async fn next(&mut self) -> Result<Frame> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).await?;
        let [a, b, c, kind, flags, s, t, u, v] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]).try_into().unwrap_or(0)];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes([s & 0x7f, t, u, v]), payload })
    }

    /// Reads to the end of the connection; the error code of its GOAWAY, unless that was lost in a reset.
    pub(crate) async fn goodbye(&mut self) -> Result<Option<u8>> {
        let mut code = None;
        while let Ok(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = frame.payload.get(7).copied();
            }
        }
        Ok(code)
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&[a, b, c, kind, flags], stream.to_be_bytes().as_slice(), payload].concat()
}

/// A whole GET.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(1, END_STREAM | END_HEADERS, stream, &head(path, &[]))
}

/// The head of a POST.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "app.test"), (":path", "/")];
    frame(1, END_HEADERS, stream, &fields.map(|(name, value)| field(name, value)).concat())
}

/// The fields of a GET and some more.
pub(crate) fn head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "http"), (":authority", "app.test"), (":path", path)];
    usual.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// A field that is not to be remembered (RFC 7541, section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0], text(name).as_slice(), &text(value)].concat()
}

/// A field for the table (RFC 7541, section 6.2.1).
pub(crate) fn indexed_field(name: &str, value: &str) -> Vec<u8> {
    [&[0x40], text(name).as_slice(), &text(value)].concat()
}

/// A text, not Huffman coded (RFC 7541, sections 5.1 and 5.2).
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        short @ 0..127 => bytes.push(u8::try_from(short).unwrap_or(0)),
        long => {
            let mut rest = long - 127;
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap_or(0) | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap_or(0));
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
