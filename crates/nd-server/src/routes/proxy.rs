//! What the proxy serves, and what it would do with a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use nd_api::v1::{ProxyTestQuery, ProxyTestView, ProxyView};

use crate::body::query;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views::proxy;

pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<ProxyView>, Refusal> {
    let state = api.engine().edge().await?;
    Ok(Json(proxy::view(&state, api.engine().http_addr())))
}

pub(super) async fn test(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<ProxyTestView>, Refusal> {
    let (parts, _) = request.into_parts();
    let asked: ProxyTestQuery = query(&parts)?;
    let state = api.engine().edge().await?;
    let place = proxy::Place::parse(&asked.url)
        .ok_or_else(|| Refusal::invalid("`url` is an address such as https://app.example.com/path"))?;
    Ok(Json(proxy::test(&state, &place, asked.from)))
}
