//! Answers that go on: NDJSON and server-sent events, which end when the daemon does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use crate::server::Api;

/// The pause between heartbeats of server-sent events.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One JSON object a line.
pub(super) fn ndjson<T, S>(api: &Arc<Api>, items: S) -> Response
where
    T: Serialize,
    S: Stream<Item = T> + Send + 'static,
{
    let lines = items.filter_map(|item| std::future::ready(line(&item)));
    respond("application/x-ndjson", until_closing(api, lines))
}

/// Server-sent events (WHATWG HTML, section 9.2), with a heartbeat of 15 s that has no id.
pub(super) fn server_sent<T, S>(api: &Arc<Api>, items: S) -> Response
where
    T: Serialize,
    S: Stream<Item = (u64, T)> + Send + 'static,
{
    let events = items.filter_map(|(id, item)| {
        let event =
            serde_json::to_string(&item).ok().map(|data| Bytes::from(format!("id: {id}\ndata: {data}\n\n")));
        std::future::ready(event)
    });
    let beats = stream::unfold((), |()| async {
        tokio::time::sleep(HEARTBEAT).await;
        Some((Bytes::from_static(b"event: heartbeat\ndata: {}\n\n"), ()))
    });
    // The end of the events ends the heart too.
    let events = events.map(Some).chain(stream::iter([None]));
    let both = stream::select(events, Box::pin(beats).map(Some));
    let both = both.take_while(|event| std::future::ready(event.is_some())).filter_map(std::future::ready);
    respond("text/event-stream", until_closing(api, both))
}

/// Whether a client wants server-sent events.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// The last event that a client has seen, when it comes back.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Ends a stream when the daemon does.
pub(super) fn until_closing<S: Stream>(api: &Arc<Api>, items: S) -> impl Stream<Item = S::Item> + use<S> {
    let closing = api.closing.clone();
    items.take_until(closing.cancelled_owned())
}

fn line(item: &impl Serialize) -> Option<Bytes> {
    let mut line = serde_json::to_vec(item).ok()?;
    line.push(b'\n');
    Some(line.into())
}

fn respond(kind: &'static str, chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(chunks.map(Ok::<_, Infallible>)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
