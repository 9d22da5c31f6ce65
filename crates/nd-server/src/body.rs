//! Reading what a request carries: bodies of a bounded size, parameters, names in paths.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use nd_types::{AppName, DeploymentId};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// The largest body of a request.
const LIMIT: usize = 1024 * 1024;

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refusal> {
    let bytes = json_bytes(headers, body).await?;
    serde_json::from_slice(&bytes).map_err(Refusal::invalid)
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
    serde_json::from_slice(&bytes).map_err(Refusal::invalid)
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
    let collected = tokio::time::timeout(ARRIVAL, Limited::new(body, LIMIT).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let title = "Invalid request: the body is larger than 1 MiB";
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "ND1007", title))
        }
        Ok(Err(error)) => Err(Refusal::invalid(format!("the body broke off: {error}"))),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "ND1008",
            "Invalid request: the body did not arrive within 30 s",
        )),
    }
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
