//! Requests to an authority: bounded in time and size, and with what the library does not hand on.

use std::error::Error as StdError;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, LINK, RETRY_AFTER};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use jiff::{SignedDuration, Timestamp};
use nd_core::ports::{PortError, PortErrorKind, PortResult};
use nd_supervise::Clock;
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use crate::{AcmeSettings, files};

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a connection is kept for the next request; servers close idle ones after five seconds and more.
const IDLE: Duration = Duration::from_secs(2);

/// The longest answer that is read: a chain has a few thousand bytes.
const MAX_ANSWER: usize = 1 << 20;

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Opens connections to one authority.
pub(super) struct Connector {
    pool: Pool,
    clock: Arc<dyn Clock>,
}

/// The requests of one talk, and what was seen in its answers.
#[derive(Clone)]
pub(super) struct Session {
    pool: Pool,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Seen>>,
}

/// What answers said beside their bodies.
#[derive(Default)]
struct Seen {
    retry_after: Option<Duration>,
    /// By how much our clock is ahead of the authority's.
    ahead: Option<SignedDuration>,
    chain: Option<Bytes>,
    alternates: Vec<String>,
}

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("no answer within {}s", DEADLINE.as_secs())]
    Timeout,
    #[error(transparent)]
    Failed(#[from] hyper_util::client::legacy::Error),
    #[error("the answer broke off: {0}")]
    Body(Box<dyn StdError + Send + Sync>),
}

impl Connector {
    pub(super) fn new(settings: &AcmeSettings, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let url = &settings.directory;
        if url.parse::<http::Uri>().ok().and_then(|uri| uri.scheme_str().map(|scheme| scheme == "https"))
            != Some(true)
        {
            let context = format!("`{url}` is not the URL of an ACME directory");
            return Err(PortError::new(PortErrorKind::Invalid, context)
                .with_fix("write `directory = \"https://…\"`, as the authority's documentation gives it"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let time = Arc::new(Time(clock.clone()));
        let failed = |error: rustls::Error| {
            PortError::new(PortErrorKind::Internal, format!("speak TLS with {url}")).with_source(error)
        };
        let tls = ClientConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots(settings)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(DEADLINE / 3));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
        let pool = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Ok(Self { pool, clock })
    }

    pub(super) fn session(&self) -> Session {
        Session { pool: self.pool.clone(), clock: self.clock.clone(), seen: Arc::default() }
    }
}

impl Session {
    /// A request that needs no signature.
    pub(super) async fn get(&self, url: &str) -> Result<Response<Bytes>, instant_acme::Error> {
        let request = Request::get(url).body(Bytes::new())?;
        self.send(&request).await.map_err(|error| instant_acme::Error::Other(Box::new(error)))
    }

    /// What this machine's clock shows.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// How long the last refusal wants us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.seen.lock().retry_after
    }

    /// By how much this machine's clock is ahead of the authority's; negative where it is behind.
    pub(super) fn clock_ahead(&self) -> Option<SignedDuration> {
        self.seen.lock().ahead
    }

    /// The last chain that was sent, and where others for the same certificate are (RFC 8555, section 7.4.2).
    pub(super) fn chain(&self) -> Option<(String, Vec<String>)> {
        let mut seen = self.seen.lock();
        let chain = String::from_utf8(seen.chain.take()?.to_vec()).ok()?;
        Some((chain, std::mem::take(&mut seen.alternates)))
    }

    async fn send(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            match self.exchange(request).await {
                // The server closed a kept connection at that moment. Had it read the request, its nonce would be used up, and
                // the library signs it anew.
                Err(HttpError::Failed(error)) if is_incomplete(&error) => self.exchange(request).await,
                answer => answer,
            }
        };
        let answer = tokio::time::timeout(DEADLINE, exchange).await.map_err(|_| HttpError::Timeout)??;
        self.look_at(&answer);
        Ok(answer)
    }

    async fn exchange(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.pool.request(request.clone().map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(HttpError::Body)?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    fn look_at(&self, answer: &Response<Bytes>) {
        let (headers, now, mut seen) = (answer.headers(), self.clock.wall(), self.seen.lock());
        if !answer.status().is_success() {
            seen.retry_after = wait(headers, now);
        }
        let date = text(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        seen.ahead =
            date.and_then(|date| Timestamp::try_from(date).ok()).map(|date| now.duration_since(date));
        let kind = text(headers, &CONTENT_TYPE).unwrap_or_default();
        if kind.starts_with("application/pem-certificate-chain") {
            seen.chain = Some(answer.body().clone());
            seen.alternates = alternates(headers);
        }
    }
}

impl HttpClient for Session {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let session = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let answer = session.send(&Request::from_parts(parts, body)).await;
            let answer = answer.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
            let (parts, body) = answer.into_parts();
            let failed = !(parts.status.is_success() || parts.status.is_redirection());
            let is_problem = || serde_json::from_slice::<instant_acme::Problem>(&body).is_ok();
            // A gateway in front of the authority speaks HTML: the library would only say that it is no JSON.
            let body = if failed && !is_problem() { as_problem(parts.status, &body) } else { body };
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3).
pub(super) fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The first line of a text, for an error.
pub(super) fn glimpse(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
    line.chars().filter(|char| !char.is_control()).take(80).collect()
}

fn is_incomplete(error: &hyper_util::client::legacy::Error) -> bool {
    let beneath = error.source().and_then(|error| error.downcast_ref::<hyper::Error>());
    beneath.is_some_and(hyper::Error::is_incomplete_message)
}

fn as_problem(status: http::StatusCode, body: &[u8]) -> Bytes {
    let detail = format!("HTTP {status}: {}", glimpse(body));
    let problem = serde_json::json!({"type": "about:blank", "status": status.as_u16(), "detail": detail});
    Bytes::from(problem.to_string())
}

/// URLs of `Link: <…>;rel="alternate"` (RFC 8288, section 3).
fn alternates(headers: &HeaderMap) -> Vec<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let alternate = links.flat_map(|value| value.split(',')).filter_map(|link| {
        let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let parameters = parameters.replace([' ', '"'], "");
        parameters.split(';').any(|parameter| parameter == "rel=alternate").then(|| url.to_owned())
    });
    alternate.collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn roots(settings: &AcmeSettings) -> PortResult<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &settings.ca_file else {
        // Not those of the system: a machine without `ca-certificates` renews too.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let pem = fs::read(file).map_err(|error| files::at_port("read", file, error))?;
    let ders: Vec<_> =
        rustls::pki_types::CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let (usable, _) = roots.add_parsable_certificates(ders);
    if usable == 0 {
        let context = format!("{} holds no certificate of an authority", file.display());
        return Err(PortError::new(PortErrorKind::Invalid, context)
            .with_fix("give the root of the ACME server's own certificate as PEM"));
    }
    Ok(roots)
}

/// The daemon's clock, for the validity of the server's certificate.
struct Time(Arc<dyn Clock>);

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.wall().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_written_as_seconds_or_as_a_date() {
        let now: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let wait = |value: &'static str| {
            let headers = [(RETRY_AFTER, http::HeaderValue::from_static(value))].into_iter().collect();
            wait(&headers, now)
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sat, 21 Nov 2026 20:02:00 GMT"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sat, 21 Nov 2020 20:02:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn alternate_chains_are_found_among_other_links() {
        let mut headers = HeaderMap::new();
        for link in [
            "<https://a.test/dir>;rel=\"index\"",
            "<https://a.test/1>; rel=\"alternate\", <https://a.test/2>;rel=alternate",
        ] {
            headers.append(LINK, http::HeaderValue::from_static(link));
        }
        assert_eq!(alternates(&headers), ["https://a.test/1", "https://a.test/2"]);
    }
}
