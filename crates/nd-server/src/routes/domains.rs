//! Domains: which lead where, and giving them to apps.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use nd_api::v1::{
    DomainCheckQuery, DomainCheckView, DomainListQuery, DomainView, DomainsBody, DomainsQuery, DomainsView,
    ListPage,
};
use nd_core::engine::EngineError;
use nd_core::model::edit::DomainChange;
use nd_types::{AppName, HostPattern};

use super::actions::LONGEST_WAIT;
use crate::body::{json, query};
use crate::identity::Caller;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::views::domain;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<ListPage<DomainView>>, Refusal> {
    let (parts, _) = request.into_parts();
    let DomainListQuery { app } = query(&parts)?;
    if let Some(app) = app.as_ref().filter(|app| api.engine().status(app).is_none()) {
        // An app that is not there has no domains, and is a slip rather than an empty list.
        return Err(Refusal::unknown_app(app));
    }
    let edge = api.engine().edge().await?;
    let all = domain::views(&api, &edge.routes);
    let wanted = all.into_iter().filter(|domain| app.as_ref().is_none_or(|app| domain.app == *app));
    Ok(Json(ListPage::complete(wanted.collect())))
}

pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<DomainsView>, Refusal> {
    let (parts, body) = request.into_parts();
    let DomainsBody { app, domains, wait_ms } = json(&parts.headers, body).await?;
    let change = DomainChange { add: some(domains)?, remove: BTreeSet::new() };
    changed(&api, &caller, &app, change, wait_ms).await
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<DomainsView>, Refusal> {
    let (parts, _) = request.into_parts();
    let DomainsQuery { app, domains, wait_ms } = query(&parts)?;
    let hosts = domains.split(',').map(HostPattern::pattern).collect::<Result<Vec<_>, _>>();
    let remove = some(hosts.map_err(Refusal::invalid)?)?;
    changed(&api, &caller, &app, DomainChange { add: BTreeSet::new(), remove }, wait_ms).await
}

/// Without a name every domain of the app or of all apps is looked at, but for those that lead here by themselves.
pub(super) async fn check(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<ListPage<DomainCheckView>>, Refusal> {
    let (parts, _) = request.into_parts();
    let DomainCheckQuery { app, domain } = query(&parts)?;
    if let Some(app) = app.as_ref().filter(|app| api.engine().status(app).is_none()) {
        return Err(Refusal::unknown_app(app));
    }
    let apps = api.engine().list();
    let apps = apps.iter().filter(|status| app.as_ref().is_none_or(|app| status.app == *app));
    let all = apps.flat_map(|status| status.routes()).map(|route| route.host);
    let hosts: BTreeSet<HostPattern> = match domain {
        Some(domain) => BTreeSet::from([domain]),
        None => all.collect(),
    };
    let looks = api.engine().look_at_domains(hosts.into_iter().collect()).await?;
    let now = api.services.clock.wall();
    Ok(Json(ListPage::complete(looks.iter().map(|look| domain::check(look, now)).collect())))
}

fn some(hosts: Vec<HostPattern>) -> Result<BTreeSet<HostPattern>, Refusal> {
    if hosts.is_empty() { Err(Refusal::invalid("domains is empty")) } else { Ok(hosts.into_iter().collect()) }
}

async fn changed(
    api: &Api,
    caller: &Caller,
    app: &AppName,
    change: DomainChange,
    wait_ms: Option<u64>,
) -> Result<Json<DomainsView>, Refusal> {
    let engine = api.engine();
    let revision = engine.change_domains(app, change.clone(), &caller.actor()).await?;
    let within = wait_ms.map(Duration::from_millis).unwrap_or_default().min(LONGEST_WAIT);
    let (settled, status) = match engine.routed(app, revision, within).await {
        Ok(status) => (true, status),
        Err(EngineError::Timeout { .. }) => (false, engine.status(app)),
        Err(error) => return Err(error.into()),
    };
    let status = status.ok_or_else(|| Refusal::unknown_app(app))?;
    let routes = domain::routes_of(&status);
    let asked = routes.into_iter().filter(|route| change.add.contains(&route.host));
    let notes = domain::notes(&status, &change);
    Ok(Json(DomainsView {
        app: app.clone(),
        settled,
        domains: domain::views(api, &asked.collect::<Vec<_>>()),
        removed: change.remove.into_iter().collect(),
        notes,
    }))
}
