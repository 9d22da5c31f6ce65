//! Verbs that edit what is wanted of an app, and wait for it where the client wants to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Request};
use axum::{Extension, Json};
use http::Method;
use http::request::Parts;
use nd_api::v1::{DestroyQuery, OperationView, ScaleBody, WaitQuery};
use nd_core::engine::{EngineError, EngineHandle};
use nd_core::model::edit::EditError;
use nd_types::{AppName, Gate};

use crate::body::{app_name, json, query};
use crate::identity::Caller;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::{spec, views};

/// The longest a request waits; then the client asks again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(600);

pub(super) type Answer = Result<Json<OperationView>, Refusal>;

/// What every verb is told: the app, who asks, and how long the answer may wait.
pub(super) struct Asked {
    api: Arc<Api>,
    app: AppName,
    actor: String,
    wait: Option<Duration>,
    /// A protected app may be destroyed.
    force: bool,
}

pub(super) async fn start(asked: Asked) -> Answer {
    let revision = asked.engine().start(&asked.app, &asked.actor).await?;
    asked.settled("start", revision).await
}

pub(super) async fn stop(asked: Asked) -> Answer {
    let revision = asked.engine().stop(&asked.app, &asked.actor).await?;
    asked.settled("stop", revision).await
}

pub(super) async fn restart(asked: Asked) -> Answer {
    let revision = asked.engine().restart(&asked.app, &asked.actor).await?;
    asked.settled("restart", revision).await
}

pub(super) async fn reload(asked: Asked) -> Answer {
    let revision = asked.engine().reload(&asked.app, &asked.actor).await?;
    asked.settled("reload", revision).await
}

pub(super) async fn scale(asked: Asked, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let body: ScaleBody = json(&parts.headers, body).await?;
    let replicas = spec::instances(body.instances);
    let revision = asked.engine().scale(&asked.app, replicas, &asked.actor).await?;
    asked.settled(&format!("scale to {replicas}"), revision).await
}

pub(super) async fn destroy(asked: Asked) -> Answer {
    let removed = asked.engine().remove(&asked.app, asked.force, &asked.actor).await;
    let revision = removed.map_err(|error| match error {
        EngineError::Edit(EditError::Protected) => {
            Refusal::from(error).fix(format!("nextdeploy destroy {} --force", asked.app))
        }
        error => error.into(),
    })?;
    asked.settled("destroy", revision).await
}

impl FromRequestParts<Arc<Api>> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let DestroyQuery { force, wait_ms } = match parts.method {
            Method::DELETE => query(parts)?,
            _ => DestroyQuery { force: false, wait_ms: query::<WaitQuery>(parts)?.wait_ms },
        };
        let Path(app) = Path::<String>::from_request_parts(parts, api)
            .await
            .map_err(|error| Refusal::invalid(error.body_text()))?;
        let Extension(caller) =
            Extension::<Caller>::from_request_parts(parts, api).await.map_err(|_| Refusal::failed())?;
        Ok(Self {
            api: Arc::clone(api),
            app: app_name(&app)?,
            actor: caller.actor(),
            wait: wait_ms.map(Duration::from_millis),
            force,
        })
    }
}

impl Asked {
    /// Puts something in front of the app, or takes it away, and answers when that serves.
    pub(super) async fn gate(self, operation: &str, gate: Gate) -> Answer {
        let revision = self.engine().set_gate(&self.app, gate, &self.actor).await?;
        self.settled(operation, revision).await
    }

    fn engine(&self) -> &EngineHandle {
        self.api.engine()
    }

    /// Answers when the app is as asked, or at the end of the wait.
    async fn settled(self, operation: &str, revision: u64) -> Answer {
        let Self { api, app, .. } = self;
        let within = self.wait.unwrap_or_default().min(LONGEST_WAIT);
        let (settled, status) = match api.engine().settled(&app, revision, within).await {
            Ok(status) => (true, status),
            Err(EngineError::Timeout { .. }) => (false, api.engine().status(&app)),
            Err(error) => return Err(error.into()),
        };
        let status = match status {
            Some(status) => Some(Box::new(views::app_view(&api, &status).await)),
            None => None,
        };
        let operation = operation.to_owned();
        Ok(Json(OperationView { app, operation, deployment: None, settled, status, notes: Vec::new() }))
    }
}
