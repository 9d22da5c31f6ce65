//! A client that shows what a visitor sees: one connection, nothing repeated, nothing hidden.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Result;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An HTTP/1.1 connection.
pub(super) struct Client {
    stream: TcpStream,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// What the app was asked for, in its own words.
    pub(super) path: String,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: timeout(PATIENCE, TcpStream::connect(address)).await?? })
    }

    /// Sends `GET /`.
    pub(super) async fn ask(&mut self, host: &str) -> Result<()> {
        self.ask_path(host, "/").await
    }

    async fn ask_path(&mut self, host: &str, path: &str) -> Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub(super) async fn answer(&mut self) -> Result<Answer> {
        timeout(PATIENCE, self.read_answer()).await?
    }

    pub(super) async fn get(&mut self, host: &str) -> Result<Answer> {
        self.ask(host).await?;
        self.answer().await
    }

    pub(super) async fn get_path(&mut self, host: &str, path: &str) -> Result<Answer> {
        self.ask_path(host, path).await?;
        self.answer().await
    }

    async fn read_answer(&mut self) -> Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        let path =
            head.lines().find_map(|line| line.strip_prefix("X-Asked: ")).unwrap_or_default().to_owned();
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")).ok_or("no content-length")?;
        let mut body = vec![0; length.trim().parse()?];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status, body: String::from_utf8(body)?, path })
    }
}

/// One request over a connection of its own.
pub(super) async fn get(address: SocketAddr, host: &str) -> Result<Answer> {
    Client::connect(address).await?.get(host).await
}
