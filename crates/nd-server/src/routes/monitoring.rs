//! `/api/monitoring/…`: how the daemon is, how the host was lately, and every app and worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use nd_api::flat::{Envelope, HealthMemory};
use nd_api::monitoring::{
    HealthCheck, MonitoringHealth, MonitoringMetrics, MonitoringServices, ServiceState,
};
use nd_api::v1::InstancesView;
use nd_core::model::{AppPhase, AppStatus};
use nd_supervise::WorkerState;

use super::health::status_code;
use super::system::worker_view;
use crate::host_history::{INTERVAL, figures};
use crate::server::Api;
use crate::views;

pub(super) async fn health(State(api): State<Arc<Api>>) -> Response {
    let services = &api.services;
    let well = services.supervisor.is_healthy();
    let checks: Vec<HealthCheck> = workers(&api).chain(notes(&api)).chain([apps(&api)]).collect();
    let is_ok = well && checks.iter().all(|check| check.ok);
    let body = MonitoringHealth {
        status: if is_ok { "ok" } else { "degraded" }.to_owned(),
        timestamp: services.clock.wall(),
        service: "nextdeployd".to_owned(),
        version: api.facts.version.clone(),
        uptime: (api.uptime().as_secs_f64() * 1000.0).round() / 1000.0,
        memory: HealthMemory { rss: services.host.sample().await.rss_bytes },
        errors: services.errors.counts(services.clock.mono()),
        requests: api.requests.load(Ordering::Relaxed),
        checks,
    };
    let envelope = Envelope { success: well, message: "Daemon health".to_owned(), payload: Some(body) };
    (status_code(well), Json(envelope)).into_response()
}

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Json<Envelope<MonitoringMetrics>> {
    let now = figures(api.services.clock.wall(), &api.services.host.sample().await);
    let interval_ms = u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
    let samples = api.history.samples();
    Json(Envelope::ok("Host metrics", MonitoringMetrics { now, interval_ms, samples }))
}

pub(super) async fn services(State(api): State<Arc<Api>>) -> Json<Envelope<MonitoringServices>> {
    let apps = api.engine().list().iter().map(|status| service(&api, status)).collect();
    let workers = api.services.supervisor.workers().into_iter().map(worker_view).collect();
    Json(Envelope::ok("Service states", MonitoringServices { apps, workers }))
}

fn workers(api: &Api) -> impl Iterator<Item = HealthCheck> {
    api.services.supervisor.workers().into_iter().map(|worker| {
        let failure =
            worker.last_failure.as_ref().map(|failure| format!("{}: {}", failure.kind, failure.message));
        let down = matches!(worker.state, WorkerState::BackingOff | WorkerState::Quarantined)
            || (worker.state == WorkerState::Stopped && failure.is_some());
        let message = match failure {
            Some(failure) => {
                format!("{}, {} restarts, last failure: {failure}", worker.state, worker.restarts)
            }
            None => worker.state.to_string(),
        };
        HealthCheck { name: format!("worker {}", worker.name), ok: !down, message }
    })
}

/// What the daemon has to say about how it started, such as a port that another program holds.
fn notes(api: &Api) -> impl Iterator<Item = HealthCheck> {
    let notes = api.services.host.notes().into_iter();
    notes.map(|message| HealthCheck { name: "start".to_owned(), ok: false, message })
}

/// Apps that fail are no fault of the daemon.
fn apps(api: &Api) -> HealthCheck {
    let apps = api.engine().list();
    let failed: Vec<&str> =
        apps.iter().filter(|app| app.phase == AppPhase::Failed).map(|app| app.app.as_str()).collect();
    let message = match failed.as_slice() {
        [] => format!("{} apps, none failed", apps.len()),
        failed => format!("{} apps, failed: {}", apps.len(), failed.join(", ")),
    };
    HealthCheck { name: "apps".to_owned(), ok: true, message }
}

fn service(api: &Api, status: &AppStatus) -> ServiceState {
    let flat = views::flat_status(status);
    let (total, _) = api.tally.of(&status.app, api.services.clock.wall());
    ServiceState {
        name: status.app.clone(),
        status: flat.status,
        phase: views::phase(status.phase),
        reason: status.reason.clone(),
        instances: InstancesView { ready: status.ready.into(), desired: status.replicas.into() },
        restarts: total.restarts,
        crashes: total.crashes,
        updated_at: status.updated_at,
    }
}
