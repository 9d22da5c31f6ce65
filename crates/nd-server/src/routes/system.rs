//! The daemon itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use nd_api::v1::{DaemonView, ListPage, VersionView, WorkerState, WorkerView};
use nd_supervise::WorkerState as Supervised;

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
    let workers = api.services.supervisor.workers().into_iter().map(|worker| WorkerView {
        name: worker.name.to_owned(),
        state: match worker.state {
            Supervised::Starting => WorkerState::Pending,
            Supervised::Running | Supervised::Stopping => WorkerState::Running,
            Supervised::BackingOff => WorkerState::Backoff,
            Supervised::Stopped => WorkerState::Done,
            Supervised::Quarantined => WorkerState::Quarantined,
        },
        restarts: worker.restarts,
        critical: worker.critical,
        last_failure: worker.last_failure.map(|failure| format!("{}: {}", failure.kind, failure.message)),
        heartbeat_age_ms: worker.heartbeat_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
    });
    Json(ListPage::complete(workers.collect()))
}

pub(super) async fn reload(State(api): State<Arc<Api>>) -> Result<Json<ListPage<String>>, Refusal> {
    match api.services.host.reload().await {
        Ok(notes) => Ok(Json(ListPage::complete(notes))),
        Err(reason) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "ND1002", reason)),
    }
}
