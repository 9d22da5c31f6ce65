//! The directory of an authority (RFC 8555, section 7.1.1), read by ourselves: for what the library keeps to itself, and to
//! say clearly when it is none.

use nd_core::ports::{PortError, PortErrorKind, PortResult};
use serde::Deserialize;

use super::http::{Session, glimpse};
use super::problem;

/// What is used of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    /// Only to be there: without it, it is no directory.
    #[serde(rename = "newOrder")]
    _new_order: String,
    #[serde(rename = "newNonce")]
    _new_nonce: String,
    #[serde(rename = "newAccount")]
    _new_account: String,
    /// Where it says when to renew (RFC 9773).
    #[serde(default)]
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    /// The names by which CAA records mean it.
    #[serde(default)]
    pub(super) caa_identities: Vec<String>,
    /// Whether it wants an account at its other services.
    #[serde(default)]
    pub(super) external_account_required: bool,
}

pub(super) async fn fetch(http: &Session, url: &str) -> PortResult<Directory> {
    let tried = format!("ask the ACME server {url}");
    let answer = http.get(url).await.map_err(|error| problem::at_port(&tried, error, http))?;
    let (status, body) = (answer.status(), answer.body());
    if !status.is_success() {
        let context = format!("{tried}: HTTP {status}: {}", glimpse(body));
        let kind =
            if status.is_client_error() { PortErrorKind::NotFound } else { PortErrorKind::Unavailable };
        let mut error = PortError::new(kind, context).with_fix("check the URL of its directory");
        error.retry_after = http.retry_after();
        return Err(error);
    }
    let mut directory: Directory = serde_json::from_slice(body).map_err(|error| {
        PortError::new(
            PortErrorKind::Unavailable,
            format!("{tried}: the answer is no ACME directory ({})", glimpse(body)),
        )
        .with_fix("check the URL of its directory, and what stands between: a proxy or a captive portal")
        .with_source(error)
    })?;
    for identity in &mut directory.meta.caa_identities {
        identity.make_ascii_lowercase();
    }
    Ok(directory)
}
