//! Around every request: its id, who sends it, that it is not done twice, and the form of what went wrong.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode};
use nd_types::RequestId;

use crate::auth::{Asked, identify};
use crate::body;
use crate::idempotency::{Answer, Claim, Keyed};
use crate::identity::Caller;
use crate::listen::Connection;
use crate::refusal::Refusal;
use crate::routes;
use crate::server::Api;

pub(crate) async fn around(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let id = RequestId::random().map_or_else(|_| String::new(), |id| id.to_string());
    let path = request.uri().path().to_owned();
    let mut response = match answered(&api, request, next, &id).await {
        Ok(response) => rendered(response, &path, &id),
        Err(refusal) => rendered(refusal.into_response(), &path, &id),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    api.requests.fetch_add(1, Ordering::Relaxed);
    response
}

async fn answered(api: &Arc<Api>, mut request: Request, next: Next, id: &str) -> Result<Response, Refusal> {
    let caller = caller(api, &request)?;
    request.extensions_mut().insert(caller.clone());
    match Keyed::key_of(request.method(), request.headers())? {
        None => Ok(answer(request, next).await),
        Some(key) => once(api, &key, &caller, request, next, id).await,
    }
}

/// Does a request under its key once, to its end: a client that has left may come back for the answer.
async fn once(
    api: &Arc<Api>,
    key: &str,
    caller: &Caller,
    request: Request,
    next: Next,
    id: &str,
) -> Result<Response, Refusal> {
    let (mut head, sent) = request.into_parts();
    let sent = body::whole(sent).await?;
    let keyed = Keyed::new(key, caller, &head, &sent);
    let turn = match api.answers.claim(keyed, api.services.clock.mono())? {
        Claim::Done(answer) => return Ok(answer.replayed()),
        Claim::First(turn) => turn,
    };
    let path = head.uri.path().to_owned();
    if let Some(deployment) = keyed.begun(api.engine().deployments(None), api.services.clock.wall())? {
        return Ok(Answer::of(routes::begun(api, &path, &deployment)?)
            .await
            .map_err(|_| Refusal::failed())?
            .replayed());
    }
    head.extensions.insert(keyed);
    let (id, clock) = (id.to_owned(), Arc::clone(&api.services.clock));
    let request = Request::from_parts(head, Body::from(sent));
    let done = api.once.spawn_with("api-request", async move {
        let response = rendered(answer(request, next).await, &path, &id);
        let answer = Answer::of(response).await.ok()?;
        turn.end(&answer, clock.mono());
        Some(answer)
    });
    match done.await {
        Ok(Some(answer)) => Ok(answer.into_response()),
        Ok(None) => Err(Refusal::failed()),
        Err(_) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ND1110", "the daemon is shutting down")),
    }
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
        method: request.method(),
        target: request.uri(),
        headers: request.headers(),
    };
    identify(&asked, &api.services.token, &api.facts.socket.display().to_string())
}

/// A handler that panics has failed one request, not the daemon.
async fn answer(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let actor = request.extensions().get::<Caller>().map(Caller::actor).unwrap_or_default();
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Refusal::failed().into_response(),
    };
    tracing::debug!(%method, path, status = response.status().as_u16(), actor, "API request");
    response
}

/// Gives a refusal the form that the clients of its path read. One that is the daemon's own fault is an error of the
/// daemon: it is logged, and counted as whatever is logged so.
fn rendered(mut response: Response, path: &str, id: &str) -> Response {
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else { return response };
    if refusal.status.is_server_error() && refusal.status != StatusCode::NOT_IMPLEMENTED {
        let (status, why) = (refusal.status.as_u16(), &refusal.title);
        tracing::error!(path, id, status, why, "an API request failed");
    }
    let (head, _) = response.into_parts();
    let mut response = refusal.render(path, id);
    // What the router adds, such as the methods of a path that does not take this one (`Allow`).
    for (name, value) in &head.headers {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}
