//! Apps: all, and one with its instances and last lines.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use futures_util::future::join_all;
use nd_api::v1::{AppView, InstanceView, ListPage};
use nd_core::model::AppStatus;
use nd_core::ports::LogFilter;

use crate::body::app_name;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views;

/// Lines that an app's view ends with.
const LINES: usize = 10;

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<ListPage<AppView>> {
    let statuses = api.engine().list();
    let views = join_all(statuses.iter().map(|status| views::app_view(&api, status))).await;
    Json(ListPage::complete(views))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
) -> Result<Json<AppView>, Refusal> {
    let status = find(&api, &app)?;
    let filter = LogFilter { apps: vec![status.app.clone()], ..LogFilter::default() };
    let lines = match api.services.logs.query(&filter, LINES).await {
        Ok(lines) => lines,
        Err(error) => {
            tracing::warn!(%error, %app, "an app is shown without its last lines");
            Vec::new()
        }
    };
    let mut view = views::app_view(&api, &status).await;
    view.units = views::instances(&api, &status).await;
    view.config = views::config(&api, &status).map(Box::new);
    view.logs = lines.into_iter().map(views::log_line).collect();
    Ok(Json(view))
}

pub(super) async fn instances(
    State(api): State<Arc<Api>>,
    Path(app): Path<String>,
) -> Result<Json<ListPage<InstanceView>>, Refusal> {
    let status = find(&api, &app)?;
    Ok(Json(ListPage::complete(views::instances(&api, &status).await)))
}

/// The app of that name.
pub(super) fn find(api: &Api, app: &str) -> Result<Arc<AppStatus>, Refusal> {
    let name = app_name(app)?;
    api.engine().status(&name).ok_or_else(|| Refusal::unknown_app(name))
}
