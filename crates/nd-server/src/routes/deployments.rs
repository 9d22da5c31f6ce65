//! Deployments: beginning, following, cancelling and undoing them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use nd_api::endpoints;
use nd_api::v1::{
    DeployBody, DeploymentView, ListPage, PageQuery, PlanStep, PlanView, RollbackBody, StepRecord,
};
use nd_core::engine::{RollbackRequest, RollbackTarget};
use nd_core::events::StoredEvent;
use nd_types::DeploymentId;

use super::{deploy, stream as streams};
use crate::body::{app_name, deployment_id, json, json_or_default, query};
use crate::idempotency::Keyed;
use crate::identity::Caller;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::{spec, views};

/// Deployments on a page where the client does not say.
const PAGE: u32 = 50;

/// The pause between glances at a deployment of which no event comes.
const GLANCE: Duration = Duration::from_secs(1);

/// How long a rollback waits for a deployment under way.
const ROLLBACK_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let app = app_name(&app)?;
    let (parts, body) = request.into_parts();
    let keyed = parts.extensions.get::<Keyed>().copied();
    let (body, notes) = deploy::checked(json(&parts.headers, body).await?)?;
    if body.manifest.app.name != app {
        let title = format!("the manifest is of app `{}`, the path of `{app}`", body.manifest.app.name);
        return Err(Refusal::unprocessable(title));
    }
    let body = deploy::sealed(&api, body).await?;
    if body.dry_run {
        return Ok(planned(&api, &caller, &body, notes)?.into_response());
    }
    let built = deploy::built(&api, &caller, &body)?;
    if let Some(id) = deploy::unchanged(&api, &body, &built).filter(|_| !body.force) {
        let mut view = view(&api, &id)?;
        view.notes.push("nothing changed, and it serves; --force deploys it again".to_owned());
        return Ok(located(StatusCode::OK, view));
    }
    begun(&api, &deploy::begin(&api, &caller, body, built, notes, keyed).await?.deployment)
}

pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<PlanView>, Refusal> {
    let (parts, body) = request.into_parts();
    let (body, notes) = deploy::checked(json(&parts.headers, body).await?)?;
    let body = deploy::sealed(&api, body).await?;
    planned(&api, &caller, &body, notes)
}

pub(super) async fn rollback(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let app = app_name(&app)?;
    let (parts, body) = request.into_parts();
    let body: RollbackBody = json_or_default(&parts.headers, body).await?;
    let asked = RollbackRequest {
        message: body.message.clone(),
        request: parts.extensions.get::<Keyed>().map(ToString::to_string),
        lock_wait: ROLLBACK_WAIT,
        ..RollbackRequest::new(&app, target(&body)?, &caller.actor())
    };
    let accepted = api.engine().rollback(asked).await?;
    begun(&api, &accepted.deployment)
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    request: Request,
) -> Result<Json<ListPage<DeploymentView>>, Refusal> {
    let status = super::apps::find(&api, &app)?;
    let (parts, _) = request.into_parts();
    let page: PageQuery = query(&parts)?;
    let limit = usize::try_from(page.limit.unwrap_or(PAGE)).unwrap_or(usize::MAX).clamp(1, 1000);
    let mut records = api.engine().deployments(Some(&status.app)).into_iter();
    if let Some(cursor) = page.cursor {
        records.by_ref().find(|record| record.id.as_str() == cursor);
    }
    let items: Vec<_> =
        records.by_ref().take(limit).map(|record| views::deployment_view(&api, record)).collect();
    let last = items.last().map(|view| view.id.to_string());
    Ok(Json(ListPage { items, next_cursor: last.filter(|_| records.next().is_some()) }))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<DeploymentView>, Refusal> {
    view(&api, &deployment_id(&id)?).map(Json)
}

pub(super) async fn log(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<ListPage<StepRecord>>, Refusal> {
    let id = deployment_id(&id)?;
    view(&api, &id)?;
    let mut steps = records(&api, &id).await;
    let mut items = Vec::new();
    // What is there is given at once; the first wait means that the rest has not happened yet.
    while let Some(Some(record)) = steps.next().now_or_never() {
        items.push(record);
    }
    Ok(Json(ListPage::complete(items)))
}

/// As NDJSON, or as server-sent events for who accepts those; they go on after `Last-Event-ID`.
pub(super) async fn follow(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = deployment_id(&id)?;
    let over = view(&api, &id)?.status.is_final();
    let records = records(&api, &id).await;
    if !streams::accepts_events(request.headers()) {
        return Ok(streams::ndjson(&api, records));
    }
    let seen = streams::last_event_id(request.headers()).unwrap_or(0);
    let unseen = records.filter(move |record| std::future::ready(record.seq > seen));
    let mut unseen = Box::pin(unseen.peekable());
    if over && unseen.as_mut().peek().await.is_none() {
        // An event source comes back for ever, unless it is told that there is nothing more.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(streams::server_sent(&api, unseen.map(|record| (record.seq, record))))
}

pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<DeploymentView>, Refusal> {
    let id = deployment_id(&id)?;
    api.engine().cancel(&id, &caller.actor()).await?;
    view(&api, &id).map(Json)
}

pub(super) async fn promote(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<DeploymentView>, Refusal> {
    let id = deployment_id(&id)?;
    api.engine().promote(&id, &caller.actor()).await?;
    view(&api, &id).map(Json)
}

fn planned(
    api: &Api,
    caller: &Caller,
    body: &DeployBody,
    notes: Vec<String>,
) -> Result<Json<PlanView>, Refusal> {
    let built = deploy::built(api, caller, body)?;
    let app = body.manifest.app.name.clone();
    let planned = api.engine().plan(&app, &built.spec, built.replicas, built.ingress)?;
    let status = api.engine().status(&app);
    let before = status.as_ref().and_then(|status| status.spec.as_deref());
    let mut changes =
        before.map_or_else(|| vec![format!("new app `{app}`")], |old| spec::changes(old, &built.spec));
    if let Some((status, replicas)) = status.as_ref().zip(built.replicas)
        && before.is_some()
        && status.replicas != replicas
    {
        changes.push(format!("instances {} → {replicas}", status.replicas));
    }
    let does_nothing = !body.force && deploy::unchanged(api, body, &built).is_some();
    let stages = planned.plan.stages.iter().zip(1u32..).filter(|_| !does_nothing);
    let steps = stages.flat_map(|(stage, number)| {
        stage.iter().map(move |step| PlanStep { stage: number, text: step.to_string() })
    });
    Ok(Json(PlanView {
        strategy: planned.strategy,
        reason: planned.reason,
        unchanged: changes.is_empty(),
        changes,
        steps: steps.collect(),
        url: status.as_ref().and_then(|status| api.engine().url(status)),
        notes: notes.into_iter().chain(built.notes).collect(),
        app,
    }))
}

fn target(body: &RollbackBody) -> Result<RollbackTarget, Refusal> {
    match (body.to.as_deref(), body.steps) {
        (None, None) => Ok(RollbackTarget::Previous),
        (None, Some(steps)) => match u16::try_from(steps) {
            Ok(steps) if steps > 0 => Ok(RollbackTarget::Steps(steps)),
            _ => Err(Refusal::invalid(format!("steps must be 1 or more, found {steps}"))),
        },
        (Some(to), _) if to.starts_with("dpl_") => {
            to.parse().map(RollbackTarget::Deployment).map_err(Refusal::invalid)
        }
        (Some(to), _) => to.parse().map(RollbackTarget::Release).map_err(Refusal::invalid),
    }
}

/// The answer to a deployment that has begun.
pub(crate) fn begun(api: &Api, id: &DeploymentId) -> Result<Response, Refusal> {
    view(api, id).map(|view| located(StatusCode::ACCEPTED, view))
}

/// A deployment, with the place where it can be seen.
fn located(status: StatusCode, view: DeploymentView) -> Response {
    let location = endpoints::DEPLOYMENT.path_with(&[view.id.as_str()]);
    let mut response = (status, Json(view)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn view(api: &Api, id: &DeploymentId) -> Result<DeploymentView, Refusal> {
    let unknown = || nd_core::engine::EngineError::UnknownDeployment(id.clone()).into();
    let record = api.engine().deployment(id).ok_or_else(unknown);
    record.map(|record| views::deployment_view(api, record))
}

/// The steps of a deployment from its start; the last record ends them.
async fn records(api: &Arc<Api>, id: &DeploymentId) -> BoxStream<'static, StepRecord> {
    let events = api.engine().follow(id).await;
    let reader = Reader { api: Arc::clone(api), id: id.clone(), events, seq: 0, over: false };
    stream::unfold(reader, |mut reader| async { reader.next().await.map(|record| (record, reader)) }).boxed()
}

struct Reader {
    api: Arc<Api>,
    id: DeploymentId,
    events: Pin<Box<dyn Stream<Item = Arc<StoredEvent>> + Send>>,
    /// The number of the last record: that of its event, which no crash gives to another one.
    seq: u64,
    over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<StepRecord> {
        while !self.over {
            let record = match tokio::time::timeout(GLANCE, self.events.next()).await {
                Ok(Some(event)) => views::step_record(&self.api, event.id, &event),
                // Stopping or destroying an app ends its deployment without an event of the deployment's own.
                Ok(None) | Err(_) => views::last_record(&self.api, self.seq + 1, &self.id),
            };
            if let Some(record) = record {
                self.seq = record.seq;
                self.over = record.is_last();
                return Some(record);
            }
        }
        None
    }
}
