//! Around every request: its id, who sends it, and the form of what went wrong.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode};
use nd_types::RequestId;

use crate::auth::{Asked, identify};
use crate::identity::Caller;
use crate::listen::Connection;
use crate::refusal::Refusal;
use crate::server::Api;

pub(crate) async fn around(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::random().map_or_else(|_| String::new(), |id| id.to_string());
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let mut response = match caller(&api, &request) {
        Ok(caller) => {
            let actor = caller.actor();
            request.extensions_mut().insert(caller);
            let response = answer(request, next).await;
            tracing::debug!(%method, path, status = response.status().as_u16(), actor, "API request");
            response
        }
        Err(refusal) => refusal.into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = refusal.render(&path, &id);
    }
    if response.status().is_server_error() && response.status() != StatusCode::NOT_IMPLEMENTED {
        api.count_error();
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    api.requests.fetch_add(1, Ordering::Relaxed);
    response
}

fn caller(api: &Api, request: &Request) -> Result<Caller, Refusal> {
    let Some(connection) = request.extensions().get::<Connection>() else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "ND1009", "the connection is not known"));
    };
    let asked = Asked {
        access: &connection.access,
        peer: connection.peer.as_ref(),
        remote: connection.remote,
        local: connection.local,
        path: request.uri().path(),
        headers: request.headers(),
    };
    identify(&asked, &api.services.token, &api.facts.socket.display().to_string())
}

/// A handler that panics has failed one request, not the daemon.
async fn answer(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(path, "an API handler panicked");
            let title = "the daemon failed to answer; its log says more";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "ND1199", title).into_response()
        }
    }
}
