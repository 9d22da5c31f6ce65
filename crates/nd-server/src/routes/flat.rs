//! The flat paths: `/deploy`, `/swap`, `/stop`, `/restart`, `/status`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use nd_api::endpoints;
use nd_api::flat::{AppSelector, ConfigureProxyRequest, DeployRequest, Envelope};
use nd_api::manifest::{Manifest, ProxyType};
use nd_api::v1::DeployBody;
use nd_core::engine::{Accepted, EngineError};
use nd_core::model::AppStatus;
use nd_core::spec::AppSpec;
use nd_types::{AppName, DeploymentId, RuntimeKind};
use serde::Deserialize;

use super::deploy;
use crate::body::{json, json_or_default, query};
use crate::idempotency::Keyed;
use crate::identity::Caller;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views::flat_status;

/// How long `?wait=true` waits for a deployment.
const DEPLOY_WAIT: Duration = Duration::from_secs(900);

/// How long `/stop` and `/restart` wait: the grace of a stop and a little.
const VERB_WAIT: Duration = Duration::from_secs(40);

#[derive(Deserialize)]
struct DeployQuery {
    #[serde(default)]
    wait: bool,
}

#[derive(Default, Deserialize)]
struct AppQuery {
    #[serde(alias = "app_name")]
    app: Option<String>,
}

pub(super) async fn deploy(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    Box::pin(begin(&api, &caller, request, false)).await
}

pub(super) async fn swap(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    Box::pin(begin(&api, &caller, request, true)).await
}

/// `POST /proxy/configure`: another domain, port or upstream is another release; another proxy alone starts no instance
/// anew. With an upstream the app need not be known: it is a server that something else runs.
pub(super) async fn configure_proxy(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let keyed = parts.extensions.get::<Keyed>().copied();
    let asked: ConfigureProxyRequest = json(&parts.headers, body).await?;
    let app = asked.app_name;
    let known = api.engine().status(&app);
    match (&asked.upstream, &known) {
        (Some(_), Some(status)) => may_run_elsewhere(status)?,
        (None, None) => return Err(Refusal::unknown_app(&app)),
        (Some(_), None) | (None, Some(_)) => {}
    }
    if asked.domain.is_none() && asked.port.is_none() && asked.upstream.is_none() {
        let proxy =
            asked.proxy_type.ok_or_else(|| Refusal::invalid("domain, port or proxy_type is missing"))?;
        let revision = api.engine().set_ingress(&app, proxy.into(), &caller.actor()).await?;
        return settled(&api, &app, revision, "Proxy configured").await;
    }
    let mut manifest = Manifest::new(app.clone());
    manifest.app.domain = asked.domain;
    manifest.app.port = asked.port;
    manifest.app.proxy_type = asked.proxy_type;
    manifest.upstream = asked.upstream;
    let manifest = serde_json::to_value(manifest).map_err(Refusal::invalid)?;
    let inherit = known.is_some_and(|status| status.spec.is_some());
    let body = DeployBody { inherit, lock_wait_ms: Some(0), ..DeployBody::new(manifest) };
    let (body, notes) = deploy::checked(body).map_err(|refusal| as_invalid(&refusal))?;
    let built = deploy::built(&api, &caller, &body)?;
    let accepted = deploy::begin(&api, &caller, body, built, notes.clone(), keyed).await?;
    started(&api, &app, "Deployment started", &accepted.deployment, notes)
}

/// Nobody loses what runs here to a route that leads elsewhere.
fn may_run_elsewhere(status: &AppStatus) -> Result<(), Refusal> {
    let runs = status.spec.as_deref().map(AppSpec::runtime).filter(|kind| *kind != RuntimeKind::External);
    let Some(kind) = runs else { return Ok(()) };
    let what = format!("`{}` runs here (runtime {kind}), and an upstream would take its place", status.app);
    let refusal = Refusal::new(StatusCode::CONFLICT, "ND1126", what);
    Err(refusal.fix("choose another app_name").fix(format!("nextdeploy destroy {}", status.app)))
}

pub(super) async fn stop(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let app = selected(&api, request).await?;
    let revision = api.engine().stop(&app, &caller.actor()).await?;
    settled(&api, &app, revision, "App stopped").await
}

pub(super) async fn restart(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let app = selected(&api, request).await?;
    let revision = api.engine().restart(&app, &caller.actor()).await?;
    settled(&api, &app, revision, "App restarted").await
}

pub(super) async fn status(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let asked: AppQuery = query(&parts)?;
    let Some(app) = asked.app.filter(|app| !app.is_empty()) else {
        let all: Vec<_> = api.engine().list().iter().map(|status| flat_status(status)).collect();
        return Ok(Json(Envelope::ok("App status fetched", all)).into_response());
    };
    // A name that no app can have is the name of no app.
    let app: AppName = app.parse().map_err(|_| Refusal::unknown_app(&app))?;
    let status = api.engine().status(&app).ok_or_else(|| Refusal::unknown_app(&app))?;
    Ok(Json(Envelope::ok("App status fetched", flat_status(&status))).into_response())
}

async fn begin(api: &Api, caller: &Caller, request: Request, inherit: bool) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let keyed = parts.extensions.get::<Keyed>().copied();
    let wait = query::<DeployQuery>(&parts)?.wait;
    let asked: DeployRequest = json(&parts.headers, body).await?;
    let (app, mut asked) = (asked.app_name.clone(), asked);
    let other = other_proxy(api, asked.proxy_type).await;
    if other.is_some() {
        asked.proxy_type = Some(ProxyType::Embedded);
    }
    let manifest = serde_json::to_value(asked.into_manifest()).map_err(Refusal::invalid)?;
    let body = DeployBody { inherit, lock_wait_ms: (!wait).then_some(0), ..DeployBody::new(manifest) };
    let (body, mut notes) = deploy::checked(body).map_err(|refusal| as_invalid(&refusal))?;
    notes.extend(other.clone());
    let built = deploy::built(api, caller, &body)?;
    let accepted = deploy::begin(api, caller, body, built, notes.clone(), keyed).await?;
    if wait {
        return finished(api, &app, &accepted, notes).await;
    }
    let message =
        other.map_or_else(|| "Deployment started".to_owned(), |note| format!("Deployment started; {note}"));
    started(api, &app, &message, &accepted.deployment, notes)
}

/// The answer to a deployment that has begun.
pub(crate) fn started(
    api: &Api,
    app: &AppName,
    message: &str,
    id: &DeploymentId,
    notes: Vec<String>,
) -> Result<Response, Refusal> {
    let mut response = (StatusCode::ACCEPTED, answer(api, app, message, id, notes)?).into_response();
    let location = endpoints::DEPLOYMENT.path_with(&[id.as_str()]);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A mistake in a flat body is answered as 400, with its reason.
fn as_invalid(refusal: &Refusal) -> Refusal {
    let reasons: Vec<&str> = refusal.errors.iter().map(|error| error.message.as_str()).collect();
    Refusal::invalid(reasons.join("; "))
}

/// What is to be said where the proxy that was asked for is not there: the app is deployed all the same.
async fn other_proxy(api: &Api, asked: Option<ProxyType>) -> Option<String> {
    let asked = asked.filter(|asked| *asked != ProxyType::Embedded)?;
    let error = api.engine().check_ingress(asked.into()).await.err()?;
    Some(format!("proxy_type {asked} is not available; the app is served by the embedded proxy ({error})"))
}

fn answer(
    api: &Api,
    app: &AppName,
    message: &str,
    id: &DeploymentId,
    notes: Vec<String>,
) -> Result<Json<Envelope<nd_api::flat::AppStatus>>, Refusal> {
    let status = api.engine().status(app).ok_or_else(|| Refusal::unknown_app(app))?;
    let mut payload = flat_status(&status);
    payload.deployment_id = Some(id.clone());
    payload.notes = notes;
    Ok(Json(Envelope::ok(message, payload)))
}

/// Waits for the end of a deployment.
async fn finished(
    api: &Api,
    app: &AppName,
    accepted: &Accepted,
    notes: Vec<String>,
) -> Result<Response, Refusal> {
    let id = &accepted.deployment;
    let steps = api.engine().follow(id).await;
    let over = async { steps.for_each(|_| std::future::ready(())).await };
    if tokio::time::timeout(DEPLOY_WAIT, over).await.is_err() {
        return Err(EngineError::Timeout { app: app.clone(), within: DEPLOY_WAIT }.into());
    }
    let error = api.engine().deployment(id).and_then(|deployment| deployment.error);
    let Some(error) = error else {
        return answer(api, app, "App deployed", id, notes).map(IntoResponse::into_response);
    };
    let why = error.why.map(|why| format!(" ({why})")).unwrap_or_default();
    Err(Refusal::unprocessable(format!("Deployment failed: {}{why}", error.what)))
}

/// The app that `?app=` or the body names.
async fn selected(api: &Api, request: Request) -> Result<AppName, Refusal> {
    let (parts, body) = request.into_parts();
    let asked: AppQuery = query(&parts)?;
    let name = match asked.app {
        Some(name) => Some(name.parse().map_err(|_| Refusal::unknown_app(&name))?),
        None => json_or_default::<AppSelector>(&parts.headers, body).await?.app_name,
    };
    let app = name.ok_or_else(|| Refusal::invalid("app_name is missing"))?;
    match api.engine().status(&app) {
        Some(_) => Ok(app),
        None => Err(Refusal::unknown_app(app)),
    }
}

async fn settled(api: &Api, app: &AppName, revision: u64, message: &str) -> Result<Response, Refusal> {
    let (code, message, status) = match api.engine().settled(app, revision, VERB_WAIT).await {
        Ok(status) => (StatusCode::OK, message.to_owned(), status),
        Err(EngineError::Timeout { .. }) => {
            (StatusCode::ACCEPTED, format!("{message}: still under way"), api.engine().status(app))
        }
        Err(error) => return Err(error.into()),
    };
    let status = status.ok_or_else(|| Refusal::unknown_app(app))?;
    Ok((code, Json(Envelope::ok(message, flat_status(&status)))).into_response())
}
