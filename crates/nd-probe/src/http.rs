//! One `GET` over one connection (RFC 9110, section 9.3.1; RFC 9112).

use std::pin::pin;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nd_core::ports::ProbeFailure;
use nd_core::spec::{HttpProbe, Statuses};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::sniff::{Heard, Sniffed};

/// How much of a body is read to find its first line.
pub(crate) const BODY_BYTES: usize = 4096;

/// How long that line may be, in characters.
const LINE_CHARS: usize = 200;

/// The request of a probe. Its own headers win over ours, apart from the end of the connection.
///
/// # Errors
/// [`ProbeFailure::Other`] when the path or a header cannot stand in a request.
pub(crate) fn question(probe: &HttpProbe) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    let path = &probe.path;
    let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let target: Uri = target
        .parse()
        .map_err(|error| ProbeFailure::Other(format!("`{path}` is not a request path: {error}")))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(USER_AGENT, HeaderValue::from_static("nextdeploy-probe"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    for (name, value) in &probe.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        // The value may be a secret.
        let (name, value) = header
            .ok_or_else(|| ProbeFailure::Other(format!("the header `{name}` cannot stand in a request")))?;
        headers.insert(name, value);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

/// Asks, and answers the status if it is accepted. A redirect is an answer and is not followed.
///
/// `deadline` only bounds the reading of a refused answer's body; the caller bounds the rest.
pub(crate) async fn exchange(
    stream: TcpStream,
    question: Request<Empty<Bytes>>,
    accept: &Statuses,
    deadline: Instant,
) -> Result<u16, ProbeFailure> {
    let (stream, heard) = Sniffed::new(stream);
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failure(&error, &heard))?;
    let mut answer = pin!(async move {
        let response = sender.send_request(question).await?;
        let status = response.status().as_u16();
        if accept.contains(status) {
            return Ok(Ok(status));
        }
        let body = first_line(response.into_body(), deadline).await;
        Ok(Err(ProbeFailure::Status { status, body }))
    });
    // The connection is driven here, not in a task of its own, so that it ends with the probe. It may end first; what
    // it has read is then still in the answer's hands.
    let answered: hyper::Result<_> = tokio::select! {
        answered = &mut answer => answered,
        ended = connection => match (answer.await, ended) {
            (Err(error), Err(cause)) if error.is_canceled() => Err(cause),
            (answered, _) => answered,
        },
    };
    answered.unwrap_or_else(|error| Err(failure(&error, &heard)))
}

fn failure(error: &hyper::Error, heard: &Heard) -> ProbeFailure {
    if error.is_incomplete_message() || !heard.anything() {
        ProbeFailure::Closed
    } else {
        ProbeFailure::NotHttp
    }
}

/// The first line of a body that says something, as far as it arrives in time.
async fn first_line(mut body: Incoming, deadline: Instant) -> String {
    let mut read = Vec::new();
    while read.len() < BODY_BYTES && !has_line(&read) {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            // The status is the news; a body that ends badly or never is shown as far as it came.
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    shown(&read)
}

pub(crate) fn has_line(read: &[u8]) -> bool {
    read.trim_ascii_start().contains(&b'\n')
}

pub(crate) fn shown(read: &[u8]) -> String {
    let text = String::from_utf8_lossy(read);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).take(LINE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_says_something_is_shown() {
        assert_eq!(shown(b"\r\n  DATABASE_URL is missing\r\nstack"), "DATABASE_URL is missing");
        assert_eq!(shown(b""), "");
        assert_eq!(shown(&[b'x'; 999]).len(), LINE_CHARS);
        assert_eq!(shown(b"a\x1b[31mb\xff"), "a[31mb\u{fffd}");
    }

    #[test]
    fn a_path_without_its_slash_is_a_path() {
        assert_eq!(question(&HttpProbe::new("up?x=1")).unwrap().uri(), "/up?x=1");
    }

    #[test]
    fn what_cannot_stand_in_a_request_is_named() {
        let refused = |probe: &HttpProbe| question(probe).unwrap_err().to_string();
        assert!(refused(&HttpProbe::new("/a b")).contains("/a b"));
        let mut probe = HttpProbe::new("/");
        probe.headers.insert("x-token".to_owned(), "se\ncret".to_owned());
        assert_eq!(refused(&probe), "the header `x-token` cannot stand in a request");
    }
}
