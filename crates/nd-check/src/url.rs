//! A URL that has to answer.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::str::FromStr;
use std::time::{Duration, Instant};

use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nd_types::format_duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::command::ask;
use crate::finding::{Finding, Health, Kind};

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);

/// The same for curl(1), in seconds.
const WITHIN_WORD: &str = "10";

/// A URL that is well when `GET` answers with 200 to 399.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedUrl(Uri);

/// Why a text is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a URL that can be asked; write http://HOST:PORT/PATH, or https://…")]
pub struct InvalidUrl(String);

impl FromStr for CheckedUrl {
    type Err = InvalidUrl;
    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUrl(text.to_owned()))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if is_http && has_host { Ok(Self(uri)) } else { Err(InvalidUrl(text.to_owned())) }
    }
}

impl fmt::Display for CheckedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl CheckedUrl {
    /// Asks it once. Redirections are an answer like any other.
    pub(crate) async fn look(&self) -> Finding {
        let started = Instant::now();
        let answer = if self.0.scheme_str() == Some("https") {
            self.by_curl().await
        } else {
            match timeout(WITHIN, self.get()).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {}", format_duration(WITHIN))),
            }
        };
        let took = started.elapsed().as_millis();
        let failed = |state: String, reason: String| {
            Finding::new(Kind::Url, self.to_string(), Health::Failed, state).because(reason)
        };
        match answer {
            Ok(status) if status.is_success() || status.is_redirection() => {
                let finding = Finding::new(Kind::Url, self.to_string(), Health::Well, status.as_str());
                finding.because(format!("answered in {took}ms"))
            }
            Ok(status) => failed(status.as_str().to_owned(), format!("GET {self} answered {status}")),
            Err(reason) => failed("no answer".to_owned(), format!("GET {self}: {reason}")),
        }
    }

    async fn get(&self) -> Result<StatusCode, String> {
        let text = |error: &dyn fmt::Display| error.to_string();
        let authority = self.0.authority().map_or("", http::uri::Authority::as_str);
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        // Names under localhost are this machine (RFC 6761, section 6.3), and not every resolver knows.
        let host = if host.ends_with(".localhost") { "127.0.0.1" } else { host };
        let stream = TcpStream::connect((host, self.0.port_u16().unwrap_or(80))).await;
        let stream = stream.map_err(|error| text(&error))?;
        let (mut sender, link) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
        let path = self.0.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let request = Request::get(path)
            .header(header::HOST, authority.rsplit_once('@').map_or(authority, |(_, host)| host))
            .header(header::USER_AGENT, concat!("nextdeploy/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|error| text(&error))?;
        let mut sending = pin!(sender.send_request(request));
        let mut link = pin!(link);
        let mut is_open = true;
        // The connection is driven by whoever waits for its answer.
        let answer = poll_fn(|context| {
            is_open = is_open && link.as_mut().poll(context).is_pending();
            sending.as_mut().poll(context)
        });
        answer.await.map(|response| response.status()).map_err(|error| text(&error))
    }

    /// Over TLS, which this program does not speak itself.
    async fn by_curl(&self) -> Result<StatusCode, String> {
        let url = self.to_string();
        let words =
            ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", WITHIN_WORD, "--url", &url];
        let status = ask("curl", &words, WITHIN * 2).await.map_err(|error| error.to_string())?;
        status.trim().parse().map_err(|_| format!("curl answered `{}`", status.trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with these bytes.
    fn answered(answer: &'static str) -> Finding {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://app.localhost:{}/health?x=1", listener.local_addr().unwrap().port());
        let server = std::thread::Builder::new().spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let found = looked(&url);
        let head = server.unwrap().join().unwrap();
        assert!(head.starts_with("GET /health?x=1 HTTP/1.1\r\nhost: app.localhost:"), "{head}");
        found
    }

    fn looked(url: &str) -> Finding {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(url.parse::<CheckedUrl>().unwrap().look())
    }

    #[test]
    fn an_answer_up_to_399_is_well() {
        for (answer, health, state) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Health::Well, "204"),
            ("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", Health::Well, "302"),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", Health::Failed, "503"),
        ] {
            let found = answered(answer);
            assert_eq!((found.health, found.state.as_str()), (health, state));
        }
    }

    #[test]
    fn nobody_there_is_a_failure_with_its_reason() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let found = looked(&format!("http://127.0.0.1:{port}/"));
        assert_eq!((found.health, found.state.as_str()), (Health::Failed, "no answer"));
        assert!(found.reason.unwrap().contains("refused"));
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for text in ["localhost:80", "ftp://x", "/path", "http://", ""] {
            assert!(text.parse::<CheckedUrl>().is_err(), "{text}");
        }
    }
}
