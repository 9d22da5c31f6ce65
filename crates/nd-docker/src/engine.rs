//! The connection to a Docker engine.
//!
//! All that knows bollard's client stands here. Short calls go through it ([`Engine::call`]); streams are opened by
//! [`Engine::open`] and read by us, because their lines and frames need bounds and their requests nanoseconds that
//! bollard does not have. Both use one connection each, with the deadlines of this module.

mod address;
mod error;
mod json;
mod transport;
mod version;

use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use parking_lot::Mutex;

pub(crate) use address::Address;
pub(crate) use error::EngineError;
pub(crate) use json::JsonLines;
pub(crate) use transport::Body;
use transport::Transport;
pub(crate) use version::ApiVersion;
pub use version::EngineInfo;

/// An engine that may be there or not.
#[derive(Debug)]
pub(crate) struct Engine {
    transport: Result<Transport, EngineError>,
    call_timeout: Duration,
    session: Mutex<Option<Arc<Session>>>,
}

/// An engine that answered, and what it said about itself.
#[derive(Debug)]
pub(crate) struct Session {
    /// Calls, without deadlines: use [`Engine::call`].
    pub(crate) docker: Docker,
    pub(crate) info: EngineInfo,
    pub(crate) api: ApiVersion,
    /// Whether its containers are processes of this very kernel.
    pub(crate) local: bool,
}

impl Engine {
    /// The engine at `host`; nothing is connected yet, and a host that cannot be used is an error of each call.
    pub(crate) fn new(host: Option<&str>, call_timeout: Duration) -> Self {
        let address = match host {
            Some(host) => Address::parse(host),
            None => Address::from_env(|name| std::env::var(name).ok()),
        };
        Self { transport: address.map(Transport::new), call_timeout, session: Mutex::new(None) }
    }

    /// Says hello when that was not done since the engine was last away.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, EngineError> {
        if let Some(session) = self.session.lock().clone() {
            return Ok(session);
        }
        let session = Arc::new(self.within(self.call_timeout, self.greet()).await?);
        *self.session.lock() = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Makes one call within the deadline of calls.
    pub(crate) async fn call<T, F>(&self, call: impl FnOnce(Docker) -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let docker = self.session().await?.docker.clone();
        // In a box: bollard's futures hold the whole request several times over.
        let work = Box::pin(call(docker));
        self.within(self.call_timeout, async { Ok(work.await?) }).await
    }

    /// Sends a request and gives the body of its answer, which has no deadline. The head has that of calls.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Body, EngineError> {
        self.open_within(self.call_timeout, request).await
    }

    /// Like [`Engine::open`], with a deadline of its own for the head.
    pub(crate) async fn open_within(
        &self,
        deadline: Duration,
        request: Request<Full<Bytes>>,
    ) -> Result<Body, EngineError> {
        // Also for its own sake: a stream that reconnects must find out when another engine came back.
        self.session().await?;
        let transport = self.transport.as_ref().map_err(Clone::clone)?;
        self.within(deadline, transport.open(request)).await
    }

    /// Keeps the deadline, and forgets the session when the engine turns out to be away: another version may come back.
    async fn within<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let result =
            tokio::time::timeout(deadline, work).await.unwrap_or(Err(EngineError::Timeout(deadline)));
        if let Err(EngineError::Absent { .. }) = &result {
            *self.session.lock() = None;
        }
        result
    }

    async fn greet(&self) -> Result<Session, EngineError> {
        let transport = self.transport.as_ref().map_err(Clone::clone)?;
        // bollard counts whole seconds until the head of an answer; the deadlines are ours, so this one only has to be
        // longer than each of them.
        let docker = Docker::connect_with_custom_transport(
            transport.for_bollard(),
            Some("http://docker"),
            86_400,
            API_DEFAULT_VERSION,
        )?
        .negotiate_version()
        .await?;
        let version = docker.version().await?;
        let api = ApiVersion::parse(version.api_version.as_deref().unwrap_or_default())
            .unwrap_or(ApiVersion::OLDEST);
        let info = EngineInfo {
            version: version.version.unwrap_or_default(),
            api: api.to_string(),
            os: version.os.unwrap_or_default(),
            arch: version.arch.unwrap_or_default(),
        };
        let local = cfg!(target_os = "linux") && transport.address().is_socket() && info.os == "linux";
        tracing::debug!(engine = %transport.address(), version = %info.version, api = %info.api, "docker engine answers");
        Ok(Session { docker, info, api, local })
    }
}

/// A request without a body.
pub(crate) fn request(method: Method, path_and_query: &str) -> Result<Request<Full<Bytes>>, EngineError> {
    json_request(method, path_and_query, Bytes::new())
}

/// A request with a JSON body.
pub(crate) fn json_request(
    method: Method,
    path_and_query: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, EngineError> {
    Request::builder()
        .method(method)
        .uri(path_and_query)
        .header("content-type", "application/json")
        .body(Full::new(body))
        .map_err(|error| EngineError::Garbled(format!("request for {path_and_query}: {error}")))
}

/// A value as it may stand in a query.
pub(crate) fn query_value(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_value_cannot_add_parameters() {
        assert_eq!(query_value(r#"{"a":["b&c=d"]}"#), "%7B%22a%22%3A%5B%22b%26c%3Dd%22%5D%7D");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_absent_and_says_where_it_was_looked_for() {
        let engine = Engine::new(Some("unix:///nonexistent/docker.sock"), Duration::from_secs(5));
        let error = engine.session().await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Absent { address, .. } if address.contains("/nonexistent")),
            "{error}"
        );
    }
}
