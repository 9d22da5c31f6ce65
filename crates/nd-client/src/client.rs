//! Calls: one request, one typed answer or a stream of them.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use nd_api::endpoints::{Endpoint, Method};
use nd_api::v1::Problem;
use nd_types::RequestId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::again::again;
use crate::error::ClientError;
use crate::host::Host;
use crate::lines::Lines;
use crate::query::query;
use crate::transport::{Answer, exchange};

/// The largest answer that is not a stream.
const LARGEST: usize = 64 * 1024 * 1024;

/// Speaks to one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    host: Host,
    token: Option<String>,
    timeout: Duration,
}

/// One call, before it is made.
pub(crate) struct Call<'c> {
    pub(crate) endpoint: Endpoint,
    /// What stands in the place of the path's names.
    pub(crate) values: &'c [&'c str],
    /// With its `?`.
    pub(crate) query: String,
    /// JSON.
    pub(crate) body: Option<Bytes>,
    /// Time on top of the client's own deadline, for calls that the daemon holds open as asked.
    pub(crate) patience: Duration,
    /// Under which the daemon does a request once, however often it arrives.
    pub(crate) key: Option<RequestId>,
}

impl Client {
    /// How long a call may take where nobody says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// A client of the daemon at `host`.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self { host, token: None, timeout: Self::TIMEOUT }
    }

    /// Sends a token with every request.
    #[must_use]
    pub fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    /// Sets how long a call may take.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Where the daemon is.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ClientError> {
        let whole = again(&call, || self.whole(&call)).await?;
        serde_json::from_slice(&whole).map_err(|error| self.unexpected(error.to_string()))
    }

    /// Sends a request and reads the whole answer.
    async fn whole(&self, call: &Call<'_>) -> Result<Vec<u8>, ClientError> {
        let response = self.send(call, self.timeout + call.patience).await?;
        let late = |_| ClientError::Timeout { host: self.host.clone(), within: self.timeout };
        let whole = timeout(self.timeout, response.into_body().collect(LARGEST)).await.map_err(late)?;
        whole.map_err(|error| ClientError::Broken { host: self.host.clone(), reason: error.to_string() })
    }

    pub(crate) async fn stream<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Lines<T>, ClientError> {
        let response = self.send(&call, self.timeout).await?;
        Ok(Lines::new(self.host.clone(), response.into_body()))
    }

    /// Sends a request; an answer that is no success becomes an error.
    async fn send(&self, call: &Call<'_>, within: Duration) -> Result<Response<Answer>, ClientError> {
        let request = self.request(call)?;
        let response = exchange(&self.host, request, within).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let late = |_| ClientError::Timeout { host: self.host.clone(), within };
        let body = timeout(self.timeout, response.into_body().collect(LARGEST)).await.map_err(late)?;
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
        match problem {
            Some(problem) => Err(ClientError::Refused(Box::new(problem))),
            None => Err(self.unexpected(format!("HTTP status {status}"))),
        }
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, ClientError> {
        let path = format!("{}{}", call.endpoint.path_with(call.values), call.query);
        let authority = match &self.host {
            Host::Unix(_) => "localhost",
            Host::Tcp(authority) => authority,
        };
        let mut request = Request::builder()
            .method(call.endpoint.method.as_str())
            .uri(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, concat!("nextdeploy/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/json, application/x-ndjson, application/problem+json");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| self.unexpected("the token has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key.as_str());
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(call.body.clone().unwrap_or_default());
        request.body(body).map_err(|error| self.unexpected(error.to_string()))
    }

    pub(crate) fn unexpected(&self, reason: String) -> ClientError {
        ClientError::Unexpected { host: self.host.clone(), reason }
    }
}

impl<'c> Call<'c> {
    pub(crate) fn new(endpoint: Endpoint, values: &'c [&'c str]) -> Self {
        // Without a random source there is no key, and a broken connection is an error as it is for a reader.
        let key = RequestId::random().ok().filter(|_| endpoint.method == Method::Post);
        Self { endpoint, values, query: String::new(), body: None, patience: Duration::ZERO, key }
    }

    pub(crate) fn query(self, parameters: &impl Serialize) -> Self {
        Self { query: query(parameters), ..self }
    }

    /// Takes a value as the JSON body.
    pub(crate) fn body(self, client: &Client, value: &impl Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_vec(value).map_err(|error| client.unexpected(error.to_string()))?;
        Ok(Self { body: Some(body.into()), ..self })
    }

    /// For what is to end with its connection: a request with a key is done to its end, whoever waits for it.
    pub(crate) fn once(self) -> Self {
        Self { key: None, ..self }
    }

    pub(crate) fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.host)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
