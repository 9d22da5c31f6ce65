//! The daemon itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use nd_api::v1::{DaemonView, ListPage, UpgradeView, VersionView, WorkerState, WorkerView};
use nd_supervise::WorkerState as Supervised;

use crate::host::UpgradeError;
use crate::refusal::Refusal;
use crate::server::Api;

pub(super) async fn version(State(api): State<Arc<Api>>) -> Json<VersionView> {
    Json(VersionView {
        version: api.facts.version.clone(),
        commit: api.facts.commit.clone(),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        api: vec!["v1".to_owned()],
    })
}

pub(super) async fn daemon(State(api): State<Arc<Api>>) -> Json<DaemonView> {
    let (facts, services) = (&api.facts, &api.services);
    let notes = services.host.notes();
    let well = services.supervisor.is_healthy() && notes.is_empty();
    let counts = api.tally.daemon();
    Json(DaemonView {
        pid: std::process::id(),
        version: facts.version.clone(),
        started_at: facts.started_at,
        uptime_ms: u64::try_from(api.uptime().as_millis()).unwrap_or(u64::MAX),
        status: if well { "ok" } else { "degraded" }.to_owned(),
        restarts: counts.restarts,
        crashes: counts.crashes,
        host: facts.host.clone(),
        data_dir: facts.data_dir.display().to_string(),
        socket: facts.socket.display().to_string(),
        listen: facts.listen.map(|address| address.to_string()),
        http: Some(api.engine().http_addr().to_string()),
        runtimes: api.engine().runtimes().iter().map(ToString::to_string).collect(),
        notes,
    })
}

pub(super) async fn workers(State(api): State<Arc<Api>>) -> Json<ListPage<WorkerView>> {
    let workers = api.services.supervisor.workers();
    Json(ListPage::complete(workers.into_iter().map(worker_view).collect()))
}

/// Ends a worker in order and starts it anew. The API's own workers cannot do that to themselves and answer for it.
pub(super) async fn restart_worker(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<WorkerView>, Refusal> {
    let supervisor = &api.services.supervisor;
    let found = supervisor.workers().into_iter().find(|worker| worker.name == name);
    let worker = found.ok_or_else(|| {
        let title = format!("there is no worker `{name}`");
        Refusal::new(StatusCode::NOT_FOUND, "ND1013", title).fix("nextdeploy status --workers")
    })?;
    if !supervisor.restart(worker.name) {
        let title = format!("the worker `{name}` is being shut down");
        return Err(Refusal::new(StatusCode::CONFLICT, "ND1107", title));
    }
    let after = supervisor.workers().into_iter().find(|worker| worker.name == name);
    Ok(Json(worker_view(after.unwrap_or(worker))))
}

/// A worker as the API shows it.
pub(super) fn worker_view(worker: nd_supervise::WorkerView) -> WorkerView {
    WorkerView {
        name: worker.name.to_owned(),
        state: match worker.state {
            Supervised::Starting => WorkerState::Pending,
            Supervised::Running | Supervised::Stopping => WorkerState::Running,
            Supervised::BackingOff => WorkerState::Backoff,
            Supervised::Stopped => WorkerState::Done,
            Supervised::Quarantined => WorkerState::Quarantined,
        },
        since: Some(worker.since),
        restarts: worker.restarts,
        panics: worker.panics,
        critical: worker.critical,
        last_failure: worker
            .last_failure
            .as_ref()
            .map(|failure| format!("{}: {}", failure.kind, failure.message)),
        last_failure_at: worker.last_failure.map(|failure| failure.at),
        heartbeat_age_ms: worker.heartbeat_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
    }
}

pub(super) async fn upgrade(State(api): State<Arc<Api>>) -> Result<(StatusCode, Json<UpgradeView>), Refusal> {
    let (program, to) = api.services.host.upgrade().await.map_err(|error| {
        let (status, code) = match &error {
            UpgradeError::Impossible(_) | UpgradeError::UnderWay => (StatusCode::CONFLICT, "ND1107"),
            UpgradeError::Failed(_) => (StatusCode::UNPROCESSABLE_ENTITY, "ND1002"),
        };
        Refusal::new(status, code, error.to_string())
    })?;
    let (from, started_at) = (api.facts.version.clone(), api.facts.started_at);
    let view = UpgradeView { program: program.display().to_string(), from, to, started_at };
    Ok((StatusCode::ACCEPTED, Json(view)))
}

pub(super) async fn reload(State(api): State<Arc<Api>>) -> Result<Json<ListPage<String>>, Refusal> {
    match api.services.host.reload().await {
        Ok(notes) => Ok(Json(ListPage::complete(notes))),
        Err(reason) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "ND1002", reason)),
    }
}
