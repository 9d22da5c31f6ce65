//! One `GET` over one connection of HTTP/2 in cleartext, with prior knowledge (RFC 9113, section 3.3).

use std::pin::pin;

use bytes::Bytes;
use h2::client::handshake;
use h2::{Error, RecvStream};
use http::header::{CONNECTION, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use nd_core::ports::ProbeFailure;
use nd_core::spec::Statuses;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::http::{BODY_BYTES, has_line, shown};
use crate::sniff::{Heard, Sniffed};

/// The question as HTTP/2 has it: the host is part of the target, and nothing is said about the connection.
///
/// # Errors
/// [`ProbeFailure::Other`] when the `Host` header is none.
pub(crate) fn question<B>(of_http1: &Request<B>) -> Result<Request<()>, ProbeFailure> {
    let mut headers = of_http1.headers().clone();
    headers.remove(CONNECTION);
    let host = headers.remove(HOST).unwrap_or(HeaderValue::from_static("localhost"));
    let unusable = || ProbeFailure::Other("the header `host` cannot stand in a request".to_owned());
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| unusable())?;
    let path = of_http1.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let target = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build();
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = target.map_err(|_| unusable())?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Asks, and answers the status if it is accepted.
///
/// `deadline` only bounds the reading of a refused answer's body; the caller bounds the rest.
pub(crate) async fn exchange(
    stream: TcpStream,
    question: Request<()>,
    accept: &Statuses,
    deadline: Instant,
) -> Result<u16, ProbeFailure> {
    let (stream, heard) = Sniffed::new(stream);
    let (sender, connection) = handshake(stream).await.map_err(|error| failure(&error, &heard))?;
    let mut answer = pin!(async move {
        let mut sender = sender.ready().await?;
        let response = sender.send_request(question, true)?.0.await?;
        let status = response.status().as_u16();
        if accept.contains(status) {
            return Ok(Ok(status));
        }
        let body = first_line(response.into_body(), deadline).await;
        Ok(Err(ProbeFailure::Status { status, body }))
    });
    // The connection is driven here, not in a task of its own, so that it ends with the probe.
    let answered: Result<_, Error> = tokio::select! {
        answered = &mut answer => answered,
        ended = connection => match (answer.await, ended) {
            (Err(_), Err(cause)) => Err(cause),
            (answered, _) => answered,
        },
    };
    answered.unwrap_or_else(|error| Err(failure(&error, &heard)))
}

fn failure(error: &Error, heard: &Heard) -> ProbeFailure {
    if error.is_io() || !heard.anything() {
        ProbeFailure::Closed
    } else {
        ProbeFailure::Other("the port answers, but not with HTTP/2 (`app.protocol: h2c`)".to_owned())
    }
}

/// The first line of a body that says something, as far as it arrives in time.
async fn first_line(mut body: RecvStream, deadline: Instant) -> String {
    let mut read: Vec<u8> = Vec::new();
    while read.len() < BODY_BYTES && !has_line(&read) {
        match timeout_at(deadline, body.data()).await {
            Ok(Some(Ok(data))) => take(&mut body, &mut read, &data),
            // The status is the news; a body that ends badly or never is shown as far as it came.
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    shown(&read)
}

fn take(body: &mut RecvStream, read: &mut Vec<u8>, data: &Bytes) {
    read.extend_from_slice(data);
    // Without room for more, the rest is not needed.
    body.flow_control().release_capacity(data.len()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use nd_core::spec::HttpProbe;

    #[test]
    fn the_host_is_part_of_the_target_and_the_connection_is_not_spoken_of() {
        let mut probe = HttpProbe::new("/up?x=1");
        probe.headers.insert("host".to_owned(), "shop.test:80".to_owned());
        probe.headers.insert("x-token".to_owned(), "1".to_owned());
        let request = question(&crate::http::question(&probe).unwrap()).unwrap();
        assert_eq!(request.uri(), "http://shop.test:80/up?x=1");
        assert!(request.headers().contains_key("x-token") && !request.headers().contains_key("connection"));
    }
}
