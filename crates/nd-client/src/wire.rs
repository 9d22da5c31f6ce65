//! One request on one connection.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::error::ClientError;
use crate::host::Host;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the rest of an answer that ends may take.
const BODY: Duration = Duration::from_secs(30);

/// More than any view is long; a daemon that sends more is not ours.
const LARGEST: usize = 64 * 1024 * 1024;

/// The head of an answer, and the connection that its body comes from.
pub(crate) struct Answer {
    pub(crate) head: Parts,
    body: Incoming,
    connection: Driver,
    doing: String,
}

/// Sends a request and waits for the head of its answer, `within` at most.
pub(crate) async fn send(
    host: &Host,
    request: Request<Full<Bytes>>,
    within: Duration,
) -> Result<Answer, ClientError> {
    let doing = format!("{} {}", request.method(), request.uri().path());
    let connecting = timeout(CONNECT, Driver::connect(host)).await;
    let late =
        |_| ClientError::Unreachable { host: host.clone(), source: std::io::ErrorKind::TimedOut.into() };
    let unreachable = |source| ClientError::Unreachable { host: host.clone(), source };
    let (mut sender, mut connection) = connecting.map_err(late)?.map_err(unreachable)?;
    let sent = timeout(within, connection.drive(sender.send_request(request))).await;
    let response = sent
        .map_err(|_| ClientError::Timeout { doing: doing.clone(), within })?
        .map_err(|error| ClientError::Broken { doing: doing.clone(), reason: reason(&error) })?;
    let (head, body) = response.into_parts();
    Ok(Answer { head, body, connection, doing })
}

impl Answer {
    /// The request, for messages.
    pub(crate) fn doing(&self) -> &str {
        &self.doing
    }

    /// The next piece of the body; nothing at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.connection.drive(self.body.frame()).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(self.broken(reason(&error))),
            }
        }
    }

    /// The whole body.
    pub(crate) async fn whole(mut self) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let reading = async {
            let mut whole = Vec::new();
            while let Some(piece) = self.piece().await? {
                if whole.len() + piece.len() > LARGEST {
                    return Err(self.broken(format!("the answer is larger than {LARGEST} bytes")));
                }
                whole.extend_from_slice(&piece);
            }
            Ok((self.head.status, whole))
        };
        let read = timeout(BODY, reading).await;
        read.unwrap_or_else(|_| Err(ClientError::Timeout { doing: self.doing.clone(), within: BODY }))
    }

    fn broken(&self, reason: String) -> ClientError {
        ClientError::Broken { doing: self.doing.clone(), reason }
    }
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Moves a connection on while its owner waits for something from it, so that no task has to.
struct Driver {
    connection: Option<Connection>,
}

impl Driver {
    async fn connect(host: &Host) -> std::io::Result<(http1::SendRequest<Full<Bytes>>, Self)> {
        match host {
            Host::Unix(path) => Self::over(UnixStream::connect(path).await?).await,
            Host::Http(authority) => {
                let stream = TcpStream::connect(authority.as_str()).await?;
                keep_alive(&stream)?;
                Self::over(stream).await
            }
        }
    }

    async fn over<S>(stream: S) -> std::io::Result<(http1::SendRequest<Full<Bytes>>, Self)>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(std::io::Error::other)?;
        Ok((sender, Self { connection: Some(Box::pin(connection)) }))
    }

    /// Waits for `work` while the connection moves on. Dropping it loses nothing but the wait.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            let Some(connection) = &mut self.connection else { return Poll::Pending };
            if connection.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // Why it ended reaches the work through its channel.
            self.connection = None;
            work.as_mut().poll(context)
        })
        .await
    }
}

/// A stream of log lines may be silent for hours: the kernel finds out when the other end is gone (tcp(7)).
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    Ok(sockopt::set_tcp_keepcnt(stream, 3)?)
}

/// The innermost cause says more than hyper's own words.
fn reason(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
