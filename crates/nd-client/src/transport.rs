//! One HTTP/1.1 exchange over a connection of its own, driven by whoever waits for it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::error::ClientError;
use crate::host::Host;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Link = Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// The body of an answer, with the connection it comes on.
pub(crate) struct Answer {
    /// Gone once the connection has ended.
    link: Option<Link>,
    body: Incoming,
}

/// Sends a request and returns when the head of the answer is there, at most `within`.
pub(crate) async fn exchange(
    host: &Host,
    request: Request<Full<Bytes>>,
    within: Duration,
) -> Result<Response<Answer>, ClientError> {
    let stream = connect(host).await?;
    let broken = |error: hyper::Error| ClientError::Broken { host: host.clone(), reason: error.to_string() };
    let (mut sender, link) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut link = Some(link);
    let response = {
        let mut sending = pin!(sender.send_request(request));
        let sent = poll_fn(|context| {
            drive(&mut link, context);
            sending.as_mut().poll(context)
        });
        let late = |_| ClientError::Timeout { host: host.clone(), within };
        timeout(within, sent).await.map_err(late)?.map_err(broken)?
    };
    Ok(response.map(|body| Answer { link, body }))
}

impl Answer {
    /// The next piece of the body; nothing at its end.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            drive(&mut self.link, context);
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The whole body, which must not be larger than `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = poll_fn(|context| self.poll_piece(context)).await {
            whole.extend_from_slice(&piece.map_err(io::Error::other)?);
            if whole.len() > limit {
                return Err(io::Error::other(format!("the answer is larger than {limit} bytes")));
            }
        }
        Ok(whole)
    }
}

/// Lets the connection work. Its errors come out of the request or the body, whichever waits for it.
fn drive(link: &mut Option<Link>, context: &mut Context<'_>) {
    if let Some(connection) = link
        && Pin::new(connection).poll(context).is_ready()
    {
        *link = None;
    }
}

async fn connect(host: &Host) -> Result<Box<dyn Stream>, ClientError> {
    let connecting = async {
        Ok::<Box<dyn Stream>, io::Error>(match host {
            Host::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Host::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await?;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Box::new(stream)
            }
        })
    };
    match timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(ClientError::Unreachable { host: host.clone(), source }),
        Err(_) => {
            Err(ClientError::Unreachable { host: host.clone(), source: io::ErrorKind::TimedOut.into() })
        }
    }
}

/// A stream of log lines may be silent for hours: the kernel finds out when the other end is gone (tcp(7)).
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    Ok(sockopt::set_tcp_keepcnt(stream, 3)?)
}
