//! Certificates: how they stand, and what is to become of them.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderValue, StatusCode, header};
use nd_api::flat::{Envelope, RotateRequest, RotatedCert};
use nd_api::v1::{CertExport, CertImportBody, CertRevokeBody, CertView, ListPage, RootView};
use nd_core::certs::CertStatus;
use nd_core::ports::{IssuerName, PortError, PortErrorKind, RevocationReason, RootCert};
use nd_types::HostPattern;

use crate::body::{json, json_or_default};
use crate::identity::Caller;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views::cert;

type Answer = Result<Json<CertView>, Refusal>;

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<ListPage<CertView>> {
    let now = api.services.clock.wall();
    let all = api.engine().certs();
    Json(ListPage::complete(all.iter().map(|status| cert::listed(status, now)).collect()))
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    let name = host(&name)?;
    let status = find(&api, &name).ok_or_else(|| unknown(&name))?;
    Ok(shown(&api, &status))
}

pub(super) async fn import(State(api): State<Arc<Api>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let CertImportBody { chain, key } = json(&parts.headers, body).await?;
    let status = api.engine().import_cert(chain, key).await.map_err(refused)?;
    Ok(shown(&api, &status))
}

pub(super) async fn renew(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    let status = renewed(&api, &host(&name)?).await?;
    Ok(shown(&api, &status))
}

pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let CertRevokeBody { reason } = json_or_default(&parts.headers, body).await?;
    let reason = reason.map_or(RevocationReason::Unspecified, cert::reason);
    removed(&api, &name, Some(reason)).await
}

pub(super) async fn remove(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Answer {
    removed(&api, &name, None).await
}

/// A key leaves only through the unix socket, whose permissions say who may have it.
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    if !matches!(caller, Caller::Peer { .. }) {
        let title = "private keys are given out on the unix socket alone; ask on this daemon's own machine";
        let fix = format!("nextdeploy certs export {name} --host unix://{}", api.facts.socket.display());
        return Err(Refusal::new(StatusCode::FORBIDDEN, "ND1006", title).fix(fix));
    }
    let name = host(&name)?;
    let found = find(&api, &name).and_then(|status| status.cert).ok_or_else(|| unknown(&name))?;
    tracing::info!(%name, actor = caller.actor(), "the key of a certificate is given out");
    let export = CertExport { chain: found.certificate.chain.clone(), key: found.certificate.key.clone() };
    let mut response = Json(export).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The root of an authority of our own. Everybody may know it; what it signs with is told to nobody.
pub(super) async fn root(
    State(api): State<Arc<Api>>,
    Path(issuer): Path<String>,
) -> Result<Json<RootView>, Refusal> {
    let name: IssuerName = issuer.parse().map_err(Refusal::invalid)?;
    let root = api.engine().issuer_root(&name).await?;
    let Some(RootCert { pem, name, fingerprint, not_after }) = root else {
        let title = format!("{issuer} has no root of its own that anybody would have to be told to trust");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "ND1017", title).fix("nextdeploy certs trust"));
    };
    Ok(Json(RootView { issuer, name, fingerprint, not_after, pem }))
}

/// `POST /certs/rotate`.
pub(super) async fn rotate(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let RotateRequest { domain } = json(&parts.headers, body).await?;
    let status = renewed(&api, &domain).await?;
    let cert = status.cert.ok_or_else(|| unknown(&domain))?;
    let (not_before, not_after) = (cert.not_before, cert.not_after);
    let rotated = RotatedCert { domain, serial: cert.serial, not_before, not_after };
    Ok(Json(Envelope::ok("Certificate rotated", rotated)).into_response())
}

async fn renewed(api: &Api, name: &HostPattern) -> Result<CertStatus, Refusal> {
    // What was routed a moment ago may not stand in the list yet; the worker knows.
    let first = find(api, name).and_then(|status| status.names.first().cloned());
    api.engine().renew_cert(first.as_ref().unwrap_or(name)).await.map_err(refused)
}

async fn removed(api: &Api, name: &str, revoke: Option<RevocationReason>) -> Answer {
    let name = host(name)?;
    let first = find(api, &name).and_then(|status| status.names.first().cloned());
    let first = first.ok_or_else(|| unknown(&name))?;
    let status = api.engine().remove_cert(&first, revoke).await.map_err(refused)?;
    Ok(shown(api, &status))
}

/// The certificate that is known by a name; else one that is for that name, one that serves first.
fn find(api: &Api, name: &HostPattern) -> Option<CertStatus> {
    let all = api.engine().certs();
    let is_known_by = |status: &&CertStatus| status.names.first() == Some(name);
    let is_for = |status: &&CertStatus| status.names.iter().any(|own| own == name || is_below(name, own));
    let by_use = || all.iter().filter(is_for).max_by_key(|status| status.cert.is_some());
    all.iter().find(is_known_by).or_else(by_use).cloned()
}

/// Whether a wildcard stands for a name: for one label of it (RFC 9525, section 6.3).
fn is_below(name: &HostPattern, wildcard: &HostPattern) -> bool {
    let rest = name.as_str().split_once('.').map(|(_, rest)| rest);
    name.parent().is_none() && wildcard.parent().is_some_and(|parent| rest == Some(parent))
}

fn host(text: &str) -> Result<HostPattern, Refusal> {
    HostPattern::pattern(text).map_err(Refusal::invalid)
}

fn shown(api: &Api, status: &CertStatus) -> Json<CertView> {
    Json(cert::view(status, api.services.clock.wall()))
}

fn unknown(name: &HostPattern) -> Refusal {
    let title = format!("there is no certificate for {name}");
    Refusal::new(StatusCode::NOT_FOUND, "ND1017", title).fix("nextdeploy certs ls")
}

/// What an issuer or the store says; that an authority gives no more for now is no lack of room.
fn refused(error: PortError) -> Refusal {
    let (kind, retry_after) = (error.kind, error.retry_after);
    let refusal = Refusal::from(error);
    match kind {
        PortErrorKind::NotFound => Refusal { code: "ND1017", ..refusal }.fix("nextdeploy certs ls"),
        PortErrorKind::Exhausted => {
            let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, code: "ND1113", ..refusal };
            match retry_after {
                Some(pause) => refusal.detail(format!("not before {} s from now", pause.as_secs())),
                None => refusal,
            }
        }
        _ => refusal,
    }
}
