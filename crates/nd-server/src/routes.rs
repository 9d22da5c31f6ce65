//! The table of routes: every endpoint and the function that answers it.

mod actions;
mod apps;
mod certs;
mod deploy;
mod deployments;
mod domains;
mod events;
mod flat;
mod gate;
mod health;
mod logs;
mod metrics;
mod monitoring;
mod not_yet;
mod proxy;
mod requests;
mod stream;
mod system;
mod timeline;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use http::StatusCode;
use nd_api::endpoints::{self as api, Endpoint, Method};
use nd_core::records::DeploymentRecord;

use crate::middleware;
use crate::refusal::Refusal;
use crate::server::Api;

type Routes = Router<Arc<Api>>;

/// Every route, with the middleware around it.
pub(crate) fn router(state: &Arc<Api>) -> Router {
    let around = axum::middleware::from_fn_with_state(Arc::clone(state), middleware::around);
    flat_routes(v1_routes(not_yet::routes(Router::new())))
        .fallback(|| async { not_found() })
        .method_not_allowed_fallback(|| async { wrong_method() })
        .layer(around)
        .with_state(Arc::clone(state))
}

/// The answer to a deployment that has begun, as the path of its request gives it.
pub(crate) fn begun(api: &Api, path: &str, deployment: &DeploymentRecord) -> Result<Response, Refusal> {
    let DeploymentRecord { id, app, notes, .. } = deployment;
    if path.starts_with("/api/v1") {
        deployments::begun(api, id)
    } else {
        flat::started(api, app, "Deployment started", id, notes.clone())
    }
}

fn flat_routes(router: Routes) -> Routes {
    router
        .route("/deploy", post(flat::deploy))
        .route("/swap", post(flat::swap))
        .route("/proxy/configure", post(flat::configure_proxy))
        .route("/stop", post(flat::stop))
        .route("/restart", post(flat::restart))
        .route("/status", get(flat::status))
        .route("/certs/rotate", post(certs::rotate))
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/healthz", get(health::healthz))
        .route("/api/monitoring/health", get(monitoring::health))
        .route("/api/monitoring/metrics", get(monitoring::metrics))
        .route("/api/monitoring/services", get(monitoring::services))
        .route("/ws/logs", get(websocket::logs))
}

fn v1_routes(router: Routes) -> Routes {
    let rows: [(Endpoint, MethodRouter<Arc<Api>>); 46] = [
        row(api::VERSION, |filter| on(filter, system::version)),
        row(api::DAEMON, |filter| on(filter, system::daemon)),
        row(api::WORKERS, |filter| on(filter, system::workers)),
        row(api::WORKER_RESTART, |filter| on(filter, system::restart_worker)),
        row(api::PROXY, |filter| on(filter, proxy::show)),
        row(api::PROXY_TEST, |filter| on(filter, proxy::test)),
        row(api::RELOAD, |filter| on(filter, system::reload)),
        row(api::UPGRADE, |filter| on(filter, system::upgrade)),
        row(api::APPS, |filter| on(filter, apps::list)),
        row(api::APP, |filter| on(filter, apps::show)),
        row(api::APP_LOGS_CLEAR, |filter| on(filter, logs::clear)),
        row(api::APP_TIMELINE, |filter| on(filter, timeline::timeline)),
        row(api::APP_REQUESTS, |filter| on(filter, requests::requests)),
        row(api::INSTANCES, |filter| on(filter, apps::instances)),
        row(api::APP_DESTROY, |filter| on(filter, actions::destroy)),
        row(api::APP_START, |filter| on(filter, actions::start)),
        row(api::APP_STOP, |filter| on(filter, actions::stop)),
        row(api::APP_RESTART, |filter| on(filter, actions::restart)),
        row(api::APP_RELOAD, |filter| on(filter, actions::reload)),
        row(api::APP_SCALE, |filter| on(filter, actions::scale)),
        row(api::APP_MAINTENANCE, |filter| on(filter, gate::maintenance)),
        row(api::APP_PAUSE, |filter| on(filter, gate::pause)),
        row(api::APP_RESUME, |filter| on(filter, gate::resume)),
        row(api::APP_ROLLBACK, |filter| on(filter, deployments::rollback)),
        row(api::DEPLOY, |filter| on(filter, deployments::create)),
        row(api::DEPLOYMENTS, |filter| on(filter, deployments::list)),
        row(api::DEPLOYMENT, |filter| on(filter, deployments::show)),
        row(api::DEPLOYMENT_LOG, |filter| on(filter, deployments::log)),
        row(api::DEPLOYMENT_STREAM, |filter| on(filter, deployments::follow)),
        row(api::DEPLOYMENT_CANCEL, |filter| on(filter, deployments::cancel)),
        row(api::DEPLOYMENT_PROMOTE, |filter| on(filter, deployments::promote)),
        row(api::PLAN, |filter| on(filter, deployments::plan)),
        row(api::DOMAINS, |filter| on(filter, domains::list)),
        row(api::DOMAINS_ADD, |filter| on(filter, domains::add)),
        row(api::DOMAINS_REMOVE, |filter| on(filter, domains::remove)),
        row(api::DOMAINS_CHECK, |filter| on(filter, domains::check)),
        row(api::CERTS, |filter| on(filter, certs::list)),
        row(api::CERT, |filter| on(filter, certs::show)),
        row(api::CERT_IMPORT, |filter| on(filter, certs::import)),
        row(api::CERT_REMOVE, |filter| on(filter, certs::remove)),
        row(api::CERT_RENEW, |filter| on(filter, certs::renew)),
        row(api::CERT_REVOKE, |filter| on(filter, certs::revoke)),
        row(api::CERT_EXPORT, |filter| on(filter, certs::export)),
        row(api::ISSUER_ROOT, |filter| on(filter, certs::root)),
        row(api::LOGS, |filter| on(filter, logs::logs)),
        row(api::EVENTS, |filter| on(filter, events::events)),
    ];
    rows.into_iter().fold(router, |router, (endpoint, handler)| router.route(endpoint.path, handler))
}

fn row(
    endpoint: Endpoint,
    handler: impl FnOnce(MethodFilter) -> MethodRouter<Arc<Api>>,
) -> (Endpoint, MethodRouter<Arc<Api>>) {
    let filter = match endpoint.method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Delete => MethodFilter::DELETE,
    };
    (endpoint, handler(filter))
}

fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "ND1010", "there is nothing at this path")
}

fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "ND1011", "this path does not take this method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_endpoint_table_has_a_handler() {
        // Building the router panics when two handlers claim one path and method.
        let routes = v1_routes(not_yet::routes(Router::new()));
        let routes = format!("{routes:?}");
        let forgotten: Vec<_> = api::ALL.iter().filter(|row| !routes.contains(row.path)).collect();
        assert!(forgotten.is_empty(), "{forgotten:?}");
    }
}
