//! Requests to an app: the latest ones, and those that come.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use nd_api::v1::{RequestFrame, RequestQuery};

use super::apps::find;
use super::stream as streams;
use crate::body::query;
use crate::refusal::Refusal;
use crate::server::Api;

/// Requests where the client does not say.
const TAIL: u32 = 100;

/// The most requests of one answer.
const MOST: u32 = 10_000;

pub(super) async fn requests(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let asked: RequestQuery = query(&parts)?;
    let app = find(&api, &app)?.app.clone();
    let Some(log) = api.services.host.requests() else {
        let message = "requests are not written down: `access_log` is off in [proxy] of nextdeployd.toml";
        return Err(Refusal::new(StatusCode::CONFLICT, "ND1016", message));
    };
    let tail = usize::try_from(asked.tail.unwrap_or(TAIL).min(MOST)).unwrap_or(0);
    // Followed first: what comes between the two is shown twice rather than never.
    let live = if asked.follow { log.follow(&app) } else { stream::empty().boxed() };
    let before = stream::iter(log.recent(&app, tail)).map(|record| RequestFrame::Request(Box::new(record)));
    Ok(streams::ndjson(&api, before.chain(live)))
}
