//! Reading what a request carries: bodies of a bounded size, parameters, names in paths.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use nd_types::{AppName, DeploymentId};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// The largest body of a request.
const LIMIT: usize = 1024 * 1024;

/// How much of a body that is too large is read all the same.
const HEARD_OUT: usize = 64 * LIMIT;

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refusal> {
    object(&json_bytes(headers, body).await?)
}

/// Reads a JSON body that may be missing.
pub(crate) async fn json_or_default<T>(headers: &HeaderMap, body: Body) -> Result<T, Refusal>
where
    T: DeserializeOwned + Default,
{
    let bytes = json_bytes(headers, body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    object(&bytes)
}

/// Reads the parameters of a request.
pub(crate) fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Refusal> {
    match Query::try_from_uri(&parts.uri) {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => {
            let text = rejection.body_text();
            Err(Refusal::invalid(text.trim_start_matches("Failed to deserialize query string: ")))
        }
    }
}

/// The app that a path names.
pub(crate) fn app_name(text: &str) -> Result<AppName, Refusal> {
    text.parse().map_err(Refusal::invalid)
}

/// The deployment that a path names.
pub(crate) fn deployment_id(text: &str) -> Result<DeploymentId, Refusal> {
    text.parse().map_err(Refusal::invalid)
}

/// Every body is an object; a list of its values in their order is none.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(bytes).map_err(Refusal::invalid),
        Some(_) => Err(Refusal::invalid("the body must be a JSON object, as in {\"app_name\":\"shop\"}")),
        None => Err(Refusal::invalid("the body is empty; a JSON object is needed")),
    }
}

async fn json_bytes(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_none_or(is_json) {
        let title = "the body must be JSON; send it with `Content-Type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ND1005", title));
    }
    whole(body).await
}

/// A body of a bounded size, once all of it has arrived.
pub(crate) async fn whole(body: Body) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(ARRIVAL, collected(body)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "ND1008",
            "Invalid request: the body did not arrive within 30 s",
        )),
    }
}

/// A body that is too large is heard out, and nothing of it kept: who still sends does not hear the refusal.
async fn collected(mut body: Body) -> Result<Bytes, Refusal> {
    let mut kept = BytesMut::new();
    let mut size = 0;
    while size <= HEARD_OUT
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| Refusal::invalid(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size <= LIMIT {
            kept.extend_from_slice(&data);
        } else {
            kept = BytesMut::new();
        }
    }
    if size <= LIMIT { Ok(kept.freeze()) } else { Err(too_large()) }
}

fn too_large() -> Refusal {
    let title = "Invalid request: the body is larger than 1 MiB";
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "ND1007", title)
}

/// JSON in any of its names, and what curl calls a body that it was not told the kind of.
fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.ends_with("+json")
        || essence == "application/x-www-form-urlencoded"
        || essence.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_curl_did_not_label_is_read_as_json() {
        for kind in
            ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"]
        {
            assert!(is_json(kind), "{kind}");
        }
        assert!(!is_json("multipart/form-data; boundary=x"));
    }

    #[tokio::test]
    async fn a_body_over_one_mebibyte_is_refused() {
        let body = Body::from(vec![b' '; LIMIT + 1]);
        let refusal = json::<serde_json::Value>(&HeaderMap::new(), body).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
