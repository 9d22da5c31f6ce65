//! What is there.

use std::sync::Arc;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptions;
use futures_util::{StreamExt, TryStreamExt, stream};
use nd_core::ports::{PortResult, Scope, UnitObserved};
use nd_types::{AppName, DaemonId, UnitId};

use crate::adopt;
use crate::engine::EngineError;
use crate::failure::port_error;
use crate::find::{self, Found};
use crate::health;
use crate::labels::{self, Labels};
use crate::observed;
use crate::oom::{self, Patience};
use crate::runtime::Shared;

/// How many containers are looked at at once.
const AT_ONCE: usize = 8;

/// Every container in `scope`. One that no daemon claims belongs to the app of its name.
pub(crate) async fn observe(shared: &Arc<Shared>, scope: &Scope) -> PortResult<Vec<UnitObserved>> {
    let (Scope::All(daemon) | Scope::App(daemon, _) | Scope::Unit(daemon, _)) = scope;
    shared.daemons.lock().insert(daemon.clone());
    let units = match scope {
        Scope::All(_) => all(shared, daemon, None).await,
        Scope::App(_, app) => all(shared, daemon, Some(app)).await,
        Scope::Unit(_, unit) => return one(shared, daemon, unit).await,
    };
    units.map_err(|error| port_error("list containers", error))
}

async fn one(shared: &Arc<Shared>, daemon: &DaemonId, unit: &UnitId) -> PortResult<Vec<UnitObserved>> {
    let Some(found) = find::existing(shared, unit).await? else { return Ok(Vec::new()) };
    if observed::labels(&found.inspected).daemon.is_some_and(|claimed| claimed != *daemon) {
        return Ok(Vec::new());
    }
    let seen = describe(shared, found).await;
    seen.map(|seen| vec![seen]).map_err(|error| port_error(&format!("look at unit {unit}"), error))
}

async fn all(
    shared: &Arc<Shared>,
    daemon: &DaemonId,
    app: Option<&AppName>,
) -> Result<Vec<UnitObserved>, EngineError> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(labels::managed_filter()),
        ..ListContainersOptions::default()
    };
    let containers = shared.engine.call(async |docker| docker.list_containers(Some(options)).await).await?;
    let wanted: Vec<String> = containers
        .into_iter()
        .filter(|container| is_wanted(container, daemon, app))
        .filter_map(|c| c.id)
        .collect();
    let looks = stream::iter(wanted).map(|id| async move { look(shared, &id).await });
    let units: Vec<Option<UnitObserved>> = looks.buffered(AT_ONCE).try_collect().await?;
    Ok(units.into_iter().flatten().collect())
}

fn is_wanted(container: &ContainerSummary, daemon: &DaemonId, app: Option<&AppName>) -> bool {
    let labels = container.labels.as_ref().map(Labels::read).unwrap_or_default();
    if labels.unclaimed() {
        let unit = unclaimed_unit(container);
        return app.is_none_or(|app| unit.is_some_and(|unit| unit.app() == app));
    }
    labels.daemon.as_ref() == Some(daemon)
        && app.is_none_or(|app| labels.app.as_deref() == Some(app.as_str()))
}

fn unclaimed_unit(container: &ContainerSummary) -> Option<UnitId> {
    adopt::unit_id(container.names.as_ref()?.first()?, container.id.as_ref()?)
}

/// One container; `None` when it was removed since it was listed.
async fn look(shared: &Arc<Shared>, id: &str) -> Result<Option<UnitObserved>, EngineError> {
    match find::inspect(shared, id).await? {
        Some(found) => describe(shared, found).await.map(Some),
        None => Ok(None),
    }
}

async fn describe(shared: &Arc<Shared>, mut found: Found) -> Result<UnitObserved, EngineError> {
    oom::complete(shared, &mut found, Patience::None).await;
    health::complete(shared, &mut found).await;
    let network = &shared.settings.network;
    let labels = observed::labels(&found.inspected);
    if !labels.unclaimed() {
        return Ok(observed::observed(&found.inspected, network));
    }
    if let Some(unit) = observed::unit_id(&found.inspected, &labels) {
        shared.adopted.lock().insert(unit, found.id.clone());
    }
    let image = match &found.inspected.image {
        Some(image) => shared.engine.call(async |docker| docker.inspect_image(image).await).await,
        None => Err(EngineError::Garbled("a container without an image".to_owned())),
    };
    let image = match image {
        Ok(image) => Some(image),
        // Its image was removed under it: then everything counts as its own.
        Err(error @ EngineError::Absent { .. }) => return Err(error),
        Err(_) => None,
    };
    let spec = adopt::spec(&found.inspected, image.as_ref());
    Ok(observed::adoptable(&found.inspected, network, spec))
}
