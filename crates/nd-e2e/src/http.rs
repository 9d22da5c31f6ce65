//! An HTTP/1.1 client over one connection (RFC 9112), which sees every byte and forgives nothing.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<Stream>,
    host: String,
    token: Option<String>,
    /// Whole answers so far, and whether something of the next one has arrived.
    answers: u64,
    heard: bool,
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> crate::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .map_err(|error| format!("status {}: {error}: {}", self.status, self.text()).into())
    }

    /// Whether the server closes the connection after it.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// `GET path` over a connection of its own.
///
/// # Errors
/// The error of the connection.
pub fn get(target: &Target, host: &str, path: &str) -> io::Result<Answer> {
    Connection::open(target, host, Duration::from_secs(15))?.request("GET", path, &[], b"")
}

impl Connection {
    /// Opens one; `host` is what its requests ask for. `patience` limits each wait for bytes.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(target: &Target, host: &str, patience: Duration) -> io::Result<Self> {
        let stream = match target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, patience)?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Target::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        stream.set_patience(patience)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: host.to_owned(),
            token: None,
            answers: 0,
            heard: false,
        })
    }

    /// Sends this bearer token with each request (RFC 6750).
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// The error of the connection, or a truncated or malformed answer.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.send(method, path, headers, body)?;
        self.answer()
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// The error of the connection, or a truncated or malformed answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        let mut body = Vec::new();
        self.read_body(&answer, |bytes| body.extend_from_slice(bytes))?;
        answer.body = body;
        self.answers += 1;
        Ok(answer)
    }

    /// Whether it was good for an answer before, and nothing has arrived since: a server may close it then, as a client has to
    /// expect (RFC 9112, section 9.3.1).
    #[must_use]
    pub fn was_idle(&self) -> bool {
        self.answers > 0 && !self.heard
    }

    /// Whether nothing at all has arrived on it yet.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.answers == 0 && !self.heard
    }

    /// Sends a request and leaves its answer for later.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        if let Some(token) = &self.token {
            write!(head, "authorization: Bearer {token}\r\n").map_err(io::Error::other)?;
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").map_err(io::Error::other)?;
        }
        if !body.is_empty() || method == "POST" {
            write!(head, "content-length: {}\r\n", body.len()).map_err(io::Error::other)?;
        }
        head.push_str("\r\n");
        self.heard = false;
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads bytes as they come; nothing at the end.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Reads a line, without its end; `None` at the end of the stream.
    ///
    /// # Errors
    /// The error of the connection.
    pub fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.heard = true;
        Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Reads the head of an answer.
    ///
    /// # Errors
    /// The error of the connection; [`ErrorKind::UnexpectedEof`] when it closed instead.
    pub fn read_head(&mut self) -> io::Result<Answer> {
        let first = self.read_line()?.ok_or_else(|| cut("closed without an answer"))?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status =
            status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no status: {first}")))?;
        let mut answer = Answer { status, ..Answer::default() };
        loop {
            let line = self.read_line()?.ok_or_else(|| cut("closed within the head"))?;
            if line.is_empty() {
                return Ok(answer);
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(io::Error::new(ErrorKind::InvalidData, format!("no field: {line}")));
            };
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads the body that belongs to a head (RFC 9112, section 6.3), piece by piece.
    ///
    /// # Errors
    /// The error of the connection; [`ErrorKind::UnexpectedEof`] when the body is truncated.
    pub fn read_body(&mut self, head: &Answer, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(());
        }
        if head.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return self.read_chunks(&mut take);
        }
        let length = head.header("content-length").and_then(|length| length.parse::<u64>().ok());
        self.copy(length, &mut take)
    }

    /// Ends the connection for both sides.
    pub fn close(&self) {
        self.stream.get_ref().shutdown();
    }

    fn read_chunks(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let line = self.read_line()?.ok_or_else(|| cut("closed between chunks"))?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("no chunk size: {line}")))?;
            if size > 0 {
                self.copy(Some(size), take)?;
            }
            let end = self.read_line()?.ok_or_else(|| cut("closed within a chunk"))?;
            if size == 0 && end.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads `length` bytes, or all up to the end of the stream.
    fn copy(&mut self, length: Option<u64>, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length.unwrap_or(u64::MAX);
        while left > 0 {
            let bytes = self.stream.fill_buf()?;
            if bytes.is_empty() {
                return if length.is_none() {
                    Ok(())
                } else {
                    Err(cut(&format!("{left} bytes of the body missing")))
                };
            }
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(bytes.get(..count).unwrap_or_default());
            self.stream.consume(count);
            left -= count as u64;
        }
        Ok(())
    }
}

fn cut(what: &str) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, what.to_owned())
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
        }
    }

    fn shutdown(&self) {
        // A connection that is gone is closed already.
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both).ok(),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both).ok(),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}
