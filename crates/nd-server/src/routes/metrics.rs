//! Figures: Prometheus' text by default, the envelope for whoever asks for JSON.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, header};
use nd_api::flat::{Envelope, SystemMetrics};
use nd_core::model::AppStatus;
use nd_core::records::DeploymentStatus;
use nd_supervise::WorkerState;
use nd_types::format_duration;
use serde::Deserialize;

use crate::body::query;
use crate::host::{AppFigures, Figures};
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views;

#[derive(Deserialize)]
struct Asked {
    format: Option<String>,
}

/// Prometheus' text exposition format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let asked: Asked = query(&parts)?;
    match asked.format.as_deref() {
        Some("json") => Ok(json(&api).await),
        Some("prometheus" | "text") => Ok(text(&api).await),
        Some(other) => Err(Refusal::invalid(format!("format `{other}` is not one of json, text"))),
        None if wants_json(&parts.headers) => Ok(json(&api).await),
        None => Ok(text(&api).await),
    }
}

async fn json(api: &Api) -> Response {
    let sample = api.services.host.sample().await;
    let statuses = api.engine().list();
    let apps = join_all(statuses.iter().map(|status| views::app_view(api, status))).await;
    let metrics = SystemMetrics {
        cpu: sample.cpu_percent,
        memory: sample.memory_percent,
        disk: sample.disk_percent,
        uptime: format_duration(api.uptime()),
        host: Some(sample.details),
        apps: apps.iter().filter_map(|app| serde_json::to_value(app).ok()).collect(),
    };
    Json(Envelope::ok("System metrics", metrics)).into_response()
}

async fn text(api: &Api) -> Response {
    let services = &api.services;
    let down = services
        .supervisor
        .workers()
        .into_iter()
        .filter(|worker| matches!(worker.state, WorkerState::BackingOff | WorkerState::Quarantined));
    let end = |status: &nd_core::certs::CertStatus| {
        Some((status.names.first()?.to_string(), status.cert.as_ref()?.not_after))
    };
    let figures = Figures {
        certs: api.engine().certs().iter().filter_map(end).collect(),
        uptime: api.uptime(),
        api_requests: api.requests.load(Ordering::Relaxed),
        errors: services.errors.counts(services.clock.mono()).total,
        workers_down: u32::try_from(down.count()).unwrap_or(u32::MAX),
        apps: api.engine().list().iter().map(|status| figures(api, status)).collect(),
    };
    let body = services.host.exposition(figures).await;
    ([(header::CONTENT_TYPE, HeaderValue::from_static(TEXT))], body).into_response()
}

fn figures(api: &Api, status: &AppStatus) -> AppFigures {
    let (total, _) = api.tally.of(&status.app, api.services.clock.wall());
    let deployments = api.engine().deployments(Some(&status.app));
    let count = |wanted: fn(DeploymentStatus) -> bool| {
        let found = deployments.iter().filter(|deployment| wanted(deployment.status)).count();
        u64::try_from(found).unwrap_or(u64::MAX)
    };
    AppFigures {
        app: status.app.clone(),
        ready: status.ready.into(),
        desired: status.replicas.into(),
        restarts: total.restarts,
        crashes: total.crashes,
        deployments_succeeded: count(|status| status == DeploymentStatus::Succeeded),
        deployments_failed: count(|status| {
            !matches!(status, DeploymentStatus::Succeeded | DeploymentStatus::Running)
        }),
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json")
}
