//! An HTTP/2 client for the tests: requests at once on one connection, every wait with a deadline.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use nd_supervise::TaskSet;
use tokio::net::TcpStream;

use crate::support::{Io, within};

/// A connection.
pub(crate) struct Client {
    requests: SendRequest<Bytes>,
    tasks: TaskSet,
}

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        Self::over(within("connect", TcpStream::connect(address)).await??).await
    }

    /// Begins on a connection.
    pub(crate) async fn over(stream: impl Io + 'static) -> Result<Self> {
        let mut builder = h2::client::Builder::new();
        // So many until the proxy has said how many it allows; and a window for many small answers, unread.
        builder.initial_max_send_streams(100).initial_connection_window_size(1 << 20);
        let handshake = builder.handshake(stream);
        let (requests, connection) = within("the handshake", handshake).await?.map_err(Error::other)?;
        let tasks = TaskSet::new("http/2 client");
        tasks.spawn("connection", async move {
            connection.await.ok();
        });
        Ok(Self { requests, tasks })
    }

    /// Sends a head; more follows unless it `ends`.
    pub(crate) async fn send(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let ready = within("room for a request", self.requests.clone().ready()).await?;
        self.requests = ready.map_err(Error::other)?;
        self.requests.send_request(request, ends).map_err(Error::other)
    }

    /// Sends a whole request and reads the answer.
    pub(crate) async fn ask(&mut self, request: Request<()>, body: &'static [u8]) -> Result<Answer> {
        let (answer, mut stream) = self.send(request, body.is_empty()).await?;
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body), true).map_err(Error::other)?;
        }
        whole(answer).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(get(path), b"").await
    }

    /// Waits until the proxy lets no further request in.
    pub(crate) async fn told_to_leave(&mut self) -> Result<()> {
        let refused = async {
            while self.requests.clone().ready().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("a GOAWAY", refused).await
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) -> Result<()> {
        let ended = async {
            while !self.tasks.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("the end of the connection", ended).await
    }

    /// Cuts the connection.
    pub(crate) async fn kill(self) {
        self.tasks.shutdown(Duration::ZERO).await;
    }
}

/// A GET for `app.test`.
pub(crate) fn get(path: &str) -> Request<()> {
    to("GET", &format!("http://app.test{path}"))
}

/// A POST for `app.test`.
pub(crate) fn post() -> Request<()> {
    to("POST", "http://app.test/")
}

pub(crate) fn to(method: &str, uri: &str) -> Request<()> {
    with(method, uri, &[])
}

pub(crate) fn with(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap_or_default()
}

/// Reads an answer to its end; a reset is an error.
pub(crate) async fn whole(answer: ResponseFuture) -> Result<Answer> {
    let (head, mut stream) = within("an answer", answer).await?.map_err(Error::other)?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = piece(&mut stream).await? {
        body.extend_from_slice(&piece);
    }
    let trailers = within("trailers", stream.trailers()).await?.map_err(Error::other)?;
    Ok(Answer { head: Response::from_parts(head, ()), body, trailers })
}

/// The next piece of a body that is not empty.
pub(crate) async fn piece(stream: &mut RecvStream) -> Result<Option<Bytes>> {
    while let Some(piece) = within("a piece", stream.data()).await? {
        let piece = piece.map_err(Error::other)?;
        stream.flow_control().release_capacity(piece.len()).map_err(Error::other)?;
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}
