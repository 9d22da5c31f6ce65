//! Connections of the tests, and the messages on them as they came.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// One connection: a client's to the proxy, or an app's from it.
pub(crate) struct Wire {
    stream: Box<dyn Io>,
    buffer: Vec<u8>,
    /// Whole requests that were read from it.
    requests: Arc<AtomicUsize>,
}

/// What a connection is made of.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The trailer section of a chunked body.
    pub(crate) trailers: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    /// A response to HEAD.
    Bodiless,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// All values of a field.
    pub(crate) fn fields(&self, name: &str) -> Vec<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.fields(name).into_iter().next()
    }
}

impl Wire {
    pub(crate) fn new(stream: impl Io + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), requests: Arc::default() }
    }

    /// The same, whose requests are counted there.
    pub(super) fn counted(self, requests: &Arc<AtomicUsize>) -> Self {
        Self { requests: Arc::clone(requests), ..self }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self::new(within("connect", TcpStream::connect(address)).await??))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        within("send", self.stream.write_all(bytes.as_ref())).await?
    }

    /// Sends a GET for `app.test`.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Message> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n")).await?;
        self.response().await
    }

    pub(crate) async fn response(&mut self) -> Result<Message> {
        within("a response", self.message(Kind::Response)).await?
    }

    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.stream.shutdown().await
    }

    /// Reads until so many bytes are there, and takes them.
    pub(crate) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Reads until there is something, and takes it.
    pub(crate) async fn some(&mut self) -> Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>> {
        let read = async { while self.fill().await.is_ok() {} };
        within("the end of the connection", read).await?;
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads to the end of the connection; says whether that was an orderly close.
    pub(crate) async fn end(&mut self) -> Result<(Vec<u8>, bool)> {
        let read = async {
            loop {
                match self.fill().await {
                    Ok(()) => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::UnexpectedEof,
                }
            }
        };
        let is_orderly = within("the end of the connection", read).await?;
        Ok((std::mem::take(&mut self.buffer), is_orderly))
    }

    /// Waits until the peer closes; bytes before that are an error.
    pub(crate) async fn closed(&mut self) -> Result<()> {
        let rest = self.rest().await?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Error::other(format!("{:?}", String::from_utf8_lossy(&rest))))
        }
    }

    /// Reads up to and with `end`.
    pub(crate) async fn through(&mut self, end: &str) -> Result<String> {
        loop {
            let found = self.buffer.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                return Ok(String::from_utf8_lossy(&self.exactly(at + end.len()).await?).into_owned());
            }
            self.fill().await?;
        }
    }

    /// Reads a message; broken framing is an error.
    pub(crate) async fn message(&mut self, kind: Kind) -> Result<Message> {
        let message = self.read(kind).await?;
        if kind == Kind::Request {
            self.requests.fetch_add(1, Ordering::SeqCst);
        }
        Ok(message)
    }

    async fn read(&mut self, kind: Kind) -> Result<Message> {
        let head = self.through("\r\n\r\n").await?;
        let mut message = Message { head, body: vec![], trailers: String::new() };
        let status = message.status();
        if kind == Kind::Bodiless || kind == Kind::Response && (status < 200 || matches!(status, 204 | 304)) {
            return Ok(message);
        }
        if message.field("transfer-encoding").is_some() {
            loop {
                let line = self.through("\r\n").await?;
                let size = line.trim_end().split(';').next().unwrap_or_default();
                let size = usize::from_str_radix(size, 16).map_err(Error::other)?;
                if size == 0 {
                    break;
                }
                let chunk = self.exactly(size + 2).await?;
                message.body.extend_from_slice(chunk.get(..size).unwrap_or_default());
            }
            loop {
                let line = self.through("\r\n").await?;
                if line == "\r\n" {
                    return Ok(message);
                }
                message.trailers.push_str(&line);
            }
        } else if let Some(length) = message.field("content-length") {
            message.body = self.exactly(length.parse().map_err(Error::other)?).await?;
        } else if kind == Kind::Response {
            message.body = self.rest().await?;
        }
        Ok(message)
    }

    async fn fill(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
