//! When an authority wants a certificate renewed (RFC 9773).

use instant_acme::CertificateIdentifier;
use jiff::Timestamp;
use nd_core::ports::{IssuedCert, PortError, PortErrorKind, PortResult};
use serde::Deserialize;

use super::http::{Session, glimpse, wait};
use super::{directory, problem};
use crate::{Window, x509};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    suggested_window: Suggested,
    #[serde(rename = "explanationURL")]
    explanation: Option<String>,
}

#[derive(Deserialize)]
struct Suggested {
    start: Timestamp,
    end: Timestamp,
}

/// The name of a certificate in such questions (section 4.1); none where it lacks what it is made of.
pub(super) fn identifier(cert: &IssuedCert) -> Option<CertificateIdentifier<'static>> {
    let ders = x509::certificates(&cert.certificate.chain).ok()?;
    CertificateIdentifier::try_from(ders.first()?).ok().map(CertificateIdentifier::into_owned)
}

/// What the authority says; nothing where it does not answer such questions.
pub(super) async fn ask(http: &Session, directory: &str, cert: &IssuedCert) -> PortResult<Option<Window>> {
    let directory = directory::fetch(http, directory).await?;
    let (Some(url), Some(identifier)) = (directory.renewal_info, identifier(cert)) else { return Ok(None) };
    let tried = "ask when to renew";
    let answer = http.get(&format!("{}/{identifier}", url.trim_end_matches('/'))).await;
    let answer = answer.map_err(|error| problem::at_port(tried, error, http))?;
    if !answer.status().is_success() {
        let context = format!("{tried}: HTTP {}: {}", answer.status(), glimpse(answer.body()));
        return Err(PortError::new(PortErrorKind::Unavailable, context));
    }
    let info: Info = serde_json::from_slice(answer.body())
        .map_err(|error| PortError::new(PortErrorKind::Unavailable, tried).with_source(error))?;
    let Suggested { start, end } = info.suggested_window;
    let retry_after = wait(answer.headers(), http.now());
    Ok(Some(Window { start, end, retry_after, explanation: info.explanation }))
}
