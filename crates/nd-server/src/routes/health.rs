//! Whether the daemon is well. No envelope, no token: load balancers and people in a hurry ask here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use nd_api::flat::{Health, HealthMemory};

use crate::server::Api;

pub(super) async fn health(State(api): State<Arc<Api>>) -> Response {
    let services = &api.services;
    let well = services.supervisor.is_healthy();
    let uptime = api.uptime().as_secs_f64();
    let body = Health {
        status: if well { "ok" } else { "degraded" }.to_owned(),
        timestamp: services.clock.wall(),
        service: "nextdeployd".to_owned(),
        uptime: (uptime * 1000.0).round() / 1000.0,
        memory: HealthMemory { rss: services.host.sample().await.rss_bytes },
        errors: services.errors.counts(services.clock.mono()),
        requests: api.requests.load(Ordering::Relaxed),
    };
    (status_code(well), Json(body)).into_response()
}

pub(super) async fn healthz(State(api): State<Arc<Api>>) -> (StatusCode, &'static str) {
    let well = api.services.supervisor.is_healthy();
    (status_code(well), if well { "ok" } else { "degraded" })
}

/// 503 while a worker that the daemon needs is down.
pub(super) fn status_code(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
