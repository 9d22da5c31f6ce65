//! One connection per request.
//!
//! An engine's socket is local and answers in less than a millisecond, so nothing is pooled, and a broken connection
//! never meets a second request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error as BollardError;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use nd_supervise::TaskSet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Address, EngineError};

/// How long connecting may take: a socket accepts at once or never, a remote engine after a few packets.
const CONNECT: Duration = Duration::from_secs(5);

/// How much of a refusal is read.
const REFUSAL_BYTES: usize = 64 * 1024;

/// What bollard expects of a transport.
type BollardAnswer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BollardError>> + Send>>;

/// Sends requests to one engine.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    address: Address,
    connections: TaskSet,
}

impl Transport {
    pub(super) fn new(address: Address) -> Self {
        Self { address, connections: TaskSet::new("docker connections") }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The same, for bollard.
    pub(super) fn for_bollard(&self) -> impl Fn(BollardRequest) -> BollardAnswer + Send + Sync + 'static {
        let transport = self.clone();
        move |request| {
            let transport = transport.clone();
            Box::pin(async move {
                let sent = transport.send(request).await;
                sent.map_err(|error| BollardError::IOError { err: io::Error::other(error) })
            })
        }
    }

    /// Sends a request and gives the body of a successful answer.
    pub(super) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Body, EngineError> {
        let response = self.send(request).await?;
        let status = response.status();
        let mut body = Body { incoming: response.into_body(), address: self.address.clone() };
        if status.is_success() {
            return Ok(body);
        }
        let mut text = Vec::new();
        while let Some(chunk) = body.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > REFUSAL_BYTES {
                break;
            }
        }
        Err(EngineError::Refused { status: status.as_u16(), message: refusal(&text) })
    }

    async fn send<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, EngineError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = tokio::time::timeout(CONNECT, self.connect())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| absent(&self.address, error))?;
        let broken = |error: hyper::Error| absent(&self.address, io::Error::other(error));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        self.connections.spawn("connection", async move {
            if let Err(error) = connection.await {
                // Whoever reads the answer is told; here nobody waits.
                tracing::trace!(%error, "connection to the docker engine ended");
            }
        });
        // A server gets the path alone (RFC 9112, section 3.2.1).
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(|error| EngineError::Garbled(error.to_string()))?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
        sender.send_request(request).await.map_err(broken)
    }

    async fn connect(&self) -> io::Result<Pin<Box<dyn Stream>>> {
        Ok(match &self.address {
            Address::Socket(path) => Box::pin(UnixStream::connect(path).await?),
            Address::Tcp(host) => Box::pin(TcpStream::connect(host).await?),
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// The body of an answer, chunk by chunk.
#[derive(Debug)]
pub(crate) struct Body {
    incoming: Incoming,
    address: Address,
}

impl Body {
    /// What arrived next; `None` at the end. Cancel safe.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, EngineError> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|error| absent(&self.address, io::Error::other(error)))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

fn absent(address: &Address, error: io::Error) -> EngineError {
    EngineError::Absent { address: address.to_string(), source: Arc::new(error) }
}

/// The words of a refusal: `{"message": …}`, or else the text as it is.
fn refusal(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    let text = serde_json::from_slice::<Refusal>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |refusal| refusal.message);
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_its_message_or_its_text() {
        assert_eq!(refusal(br#"{"message":"no such image: x\n"}"#), "no such image: x");
        assert_eq!(refusal(b"404 page not found\n"), "404 page not found");
    }
}
