//! Caddy's admin API: its configuration is read with a tag, and replaced where the tag still holds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_MATCH};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nd_core::ports::{PortError, PortErrorKind, PortResult, within};
use nd_supervise::TaskSet;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(3);

/// How long a change may take until it serves.
const CHANGE: Duration = Duration::from_secs(12);

/// The largest answer that is read, in bytes.
const MOST: usize = 32 * 1024 * 1024;

/// The API at one address.
pub(super) struct Admin {
    place: Place,
    tasks: TaskSet,
}

enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// It serves.
    Done,
    /// Somebody else was faster.
    Outdated,
}

struct Answer {
    status: StatusCode,
    tag: Option<HeaderValue>,
    body: Bytes,
}

impl Admin {
    /// # Errors
    /// `Invalid` when this is no address.
    pub(super) fn at(address: &str) -> PortResult<Self> {
        let path = address.strip_prefix("unix://").or_else(|| address.strip_prefix("unix/"));
        let place = match path {
            Some(path) if path.starts_with('/') => Place::Unix(path.into()),
            _ => {
                let address = address.replace("localhost:", "127.0.0.1:");
                let parsed = address.parse().map_err(|_| {
                    let context = format!("[caddy] admin: `{address}` is no address");
                    let fix = "write it as \"127.0.0.1:2019\" or \"unix//run/caddy/admin.sock\"";
                    PortError::new(PortErrorKind::Invalid, context).with_fix(fix)
                })?;
                Place::Tcp(parsed)
            }
        };
        Ok(Self { place, tasks: TaskSet::new("caddy") })
    }

    /// The whole configuration and its tag.
    pub(super) async fn config(&self) -> PortResult<(Value, HeaderValue)> {
        let request = self.request(Method::GET, "/config/", None, Bytes::new())?;
        let answer = within("read Caddy's configuration", LOOK, self.ask(request)).await?;
        if answer.status != StatusCode::OK {
            return Err(refused("read Caddy's configuration", &answer));
        }
        let config = serde_json::from_slice(&answer.body).map_err(|error| {
            PortError::new(PortErrorKind::Internal, "read Caddy's configuration").with_source(error)
        })?;
        let untagged = || {
            let context = "Caddy's admin API tags nothing it answers; Caddy 2.6 or later is needed";
            PortError::new(PortErrorKind::Unavailable, context)
        };
        Ok((config, answer.tag.ok_or_else(untagged)?))
    }

    /// Replaces the configuration that had this tag. Caddy answers when the new one serves, and goes on with the old one when
    /// it does not like it.
    pub(super) async fn replace(&self, config: &Value, tag: &HeaderValue) -> PortResult<Changed> {
        let what = "apply routes to Caddy";
        let request = self.request(Method::POST, "/config/", Some(tag), config.to_string().into())?;
        let answer = within(what, CHANGE, self.ask(request)).await?;
        match answer.status {
            StatusCode::OK => Ok(Changed::Done),
            StatusCode::PRECONDITION_FAILED => Ok(Changed::Outdated),
            _ => Err(refused(what, &answer)),
        }
    }

    /// What carries this `@id`.
    pub(super) async fn by_id(&self, id: &str) -> PortResult<Option<Value>> {
        let request = self.request(Method::GET, &format!("/id/{id}"), None, Bytes::new())?;
        let answer = within("look for our routes in Caddy", LOOK, self.ask(request)).await?;
        match answer.status {
            StatusCode::OK => Ok(serde_json::from_slice(&answer.body).ok()),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused("look for our routes in Caddy", &answer)),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        tag: Option<&HeaderValue>,
        body: Bytes,
    ) -> PortResult<Request<Full<Bytes>>> {
        let host = match &self.place {
            Place::Tcp(address) => address.to_string(),
            // What its check of origins lets through on a socket.
            Place::Unix(_) => String::new(),
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(tag) = tag {
            request = request.header(IF_MATCH, tag).header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body)).map_err(|error| {
            PortError::new(PortErrorKind::Internal, format!("ask Caddy for {path}")).with_source(error)
        })
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> PortResult<Answer> {
        match &self.place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(|error| self.absent(error))?;
                self.talk(stream, request).await
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| self.absent(error))?;
                self.talk(stream, request).await
            }
        }
    }

    async fn talk<S>(&self, stream: S, request: Request<Full<Bytes>>) -> PortResult<Answer>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        self.tasks.spawn("admin connection", async move {
            // What goes wrong with it, the request finds out.
            connection.await.ok();
        });
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = http_body_util::Limited::new(body, MOST).collect().await.map_err(broken)?;
        // Caddy knows it only when the body has left.
        let later = body.trailers().and_then(|trailers| trailers.get(ETAG)).cloned();
        let tag = later.or_else(|| head.headers.get(ETAG).cloned());
        Ok(Answer { status: head.status, tag, body: body.to_bytes() })
    }

    fn absent(&self, error: std::io::Error) -> PortError {
        let place = match &self.place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(path) => path.display().to_string(),
        };
        PortError::new(PortErrorKind::Unavailable, format!("reach Caddy's admin API at {place}"))
            .with_source(error)
            .with_fix(
                "start Caddy (`systemctl start caddy`); where its Caddyfile says `admin off`, take that out; \
                 where the API listens elsewhere, say so under [caddy] in nextdeployd.toml",
            )
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::new(PortErrorKind::Transient, "talk to Caddy's admin API").with_source(error)
}

/// What Caddy says against it.
fn refused(what: &str, answer: &Answer) -> PortError {
    let said = serde_json::from_slice::<Value>(&answer.body).ok();
    let said = said.as_ref().and_then(|said| said.get("error")?.as_str()).unwrap_or("no reason given");
    let kind = match answer.status {
        StatusCode::FORBIDDEN => PortErrorKind::Denied,
        _ if said.contains("address already in use") => PortErrorKind::Unavailable,
        status if status.is_server_error() => PortErrorKind::Transient,
        _ => PortErrorKind::Invalid,
    };
    PortError::new(kind, format!("{what}: Caddy answers {}: {said}", answer.status.as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_caddy_writes_it() {
        for address in ["localhost:2019", "127.0.0.1:2019", "[::1]:2019"] {
            assert!(matches!(Admin::at(address).unwrap().place, Place::Tcp(_)), "{address}");
        }
        for address in ["unix//run/caddy/admin.sock", "unix:///run/caddy/admin.sock"] {
            let Place::Unix(path) = Admin::at(address).unwrap().place else { panic!("{address}") };
            assert_eq!(path.to_str(), Some("/run/caddy/admin.sock"));
        }
        for address in ["", "caddy", "unix/admin.sock", "off"] {
            assert_eq!(Admin::at(address).err().map(|error| error.kind), Some(PortErrorKind::Invalid));
        }
    }
}
