//! Verbs that edit what is wanted of an app, and wait for it where the client wants to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::{Extension, Json};
use nd_api::v1::{DestroyQuery, OperationView, ScaleBody, WaitQuery};
use nd_core::engine::EngineError;
use nd_core::model::edit::EditError;
use nd_types::AppName;

use crate::body::{app_name, json, query};
use crate::identity::Caller;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::{spec, views};

/// The longest a request waits; then the client asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

type Answer = Result<Json<OperationView>, Refusal>;

pub(super) async fn start(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let (app, wait) = named(&app, &request)?;
    let revision = api.engine().start(&app, &caller.actor()).await?;
    settle(&api, app, "start", revision, wait).await
}

pub(super) async fn stop(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let (app, wait) = named(&app, &request)?;
    let revision = api.engine().stop(&app, &caller.actor()).await?;
    settle(&api, app, "stop", revision, wait).await
}

pub(super) async fn restart(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let (app, wait) = named(&app, &request)?;
    let revision = api.engine().restart(&app, &caller.actor()).await?;
    settle(&api, app, "restart", revision, wait).await
}

pub(super) async fn reload(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let (app, wait) = named(&app, &request)?;
    let revision = api.engine().reload(&app, &caller.actor()).await?;
    settle(&api, app, "reload", revision, wait).await
}

pub(super) async fn scale(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let (app, wait) = named(&app, &request)?;
    let (parts, body) = request.into_parts();
    let body: ScaleBody = json(&parts.headers, body).await?;
    let replicas = spec::instances(body.instances);
    let revision = api.engine().scale(&app, replicas, &caller.actor()).await?;
    settle(&api, app, &format!("scale to {replicas}"), revision, wait).await
}

pub(super) async fn destroy(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Answer {
    let app = app_name(&app)?;
    let (parts, _) = request.into_parts();
    let DestroyQuery { force, wait_ms } = query(&parts)?;
    let revision = api.engine().remove(&app, force, &caller.actor()).await.map_err(|error| match error {
        EngineError::Edit(EditError::Protected) => {
            Refusal::from(error).fix(format!("nextdeploy destroy {app} --force"))
        }
        error => error.into(),
    })?;
    settle(&api, app, "destroy", revision, wait_ms.map(Duration::from_millis)).await
}

fn named(app: &str, request: &Request) -> Result<(AppName, Option<Duration>), Refusal> {
    let app = app_name(app)?;
    let uri = request.uri();
    let wait = axum::extract::Query::<WaitQuery>::try_from_uri(uri)
        .map_err(|error| Refusal::invalid(error.body_text()))?;
    Ok((app, wait.0.wait_ms.map(Duration::from_millis)))
}

/// Answers when the app is as asked, or at the end of the wait.
async fn settle(api: &Api, app: AppName, operation: &str, revision: u64, wait: Option<Duration>) -> Answer {
    let within = wait.unwrap_or_default().min(LONGEST_WAIT);
    let (settled, status) = match api.engine().settled(&app, revision, within).await {
        Ok(status) => (true, status),
        Err(EngineError::Timeout { .. }) => (false, api.engine().status(&app)),
        Err(error) => return Err(error.into()),
    };
    let status = match status {
        Some(status) => Some(Box::new(views::app_view(api, &status).await)),
        None => None,
    };
    let operation = operation.to_owned();
    Ok(Json(OperationView { app, operation, deployment: None, settled, status, notes: Vec::new() }))
}
