//! From a unit's id to its container.

use std::sync::Arc;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::ListContainersOptions;
use nd_core::ports::{PortError, PortErrorKind, PortResult};
use nd_types::UnitId;

use crate::adopt;
use crate::engine::EngineError;
use crate::failure::port_error;
use crate::labels::{self, Labels};
use crate::observed;
use crate::runtime::Shared;

/// A container that is a unit of ours.
pub(crate) struct Found {
    /// The container's id.
    pub(crate) id: String,
    /// In a box: it is large, and held across many waits.
    pub(crate) inspected: Box<ContainerInspectResponse>,
}

impl Found {
    /// Whether it runs.
    pub(crate) fn runs(&self) -> bool {
        self.inspected.state.as_ref().and_then(|state| state.running).unwrap_or(false)
    }
}

/// What a unit's name leads to.
pub(crate) enum Lookup {
    /// The unit.
    Unit(Found),
    /// A container of that name which is none of our units.
    Foreign,
    /// Nothing.
    None,
}

/// The unit's container; `NotFound` when there is none.
pub(crate) async fn unit(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<Found> {
    match existing(shared, unit).await? {
        Some(found) => Ok(found),
        None => Err(PortError::new(PortErrorKind::NotFound, format!("unit {unit} has no container"))),
    }
}

/// The unit's container, if there is one.
pub(crate) async fn existing(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<Option<Found>> {
    match lookup(shared, unit).await? {
        Lookup::Unit(found) => Ok(Some(found)),
        Lookup::Foreign | Lookup::None => Ok(None),
    }
}

/// Looks for a unit among the containers that bear its name and among those that no daemon claims.
pub(crate) async fn lookup(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<Lookup> {
    let failed = |error| port_error(&format!("look up unit {unit}"), error);
    let named = inspect(shared, unit.as_str()).await.map_err(failed)?;
    let foreign = match named {
        Some(found) if is_ours(shared, unit, &observed::labels(&found.inspected)) => {
            return Ok(Lookup::Unit(found));
        }
        named => named.is_some(),
    };
    let known = shared.adopted.lock().get(unit).cloned();
    let id = match known {
        Some(id) => Some(id),
        None if adopt::may_be_adopted(unit) => find_unclaimed(shared, unit).await.map_err(failed)?,
        None => None,
    };
    if let Some(id) = id
        && let Some(found) = inspect(shared, &id).await.map_err(failed)?
    {
        return Ok(Lookup::Unit(found));
    }
    Ok(if foreign { Lookup::Foreign } else { Lookup::None })
}

/// Another daemon may, by accident or with a copy of our data, have a unit of the same name.
fn is_ours(shared: &Shared, unit: &UnitId, labels: &Labels) -> bool {
    let daemons = shared.daemons.lock();
    let claimed_by_us =
        labels.daemon.as_ref().is_some_and(|daemon| daemons.is_empty() || daemons.contains(daemon));
    labels.managed && claimed_by_us && labels.unit.as_ref() == Some(unit)
}

async fn find_unclaimed(shared: &Arc<Shared>, unit: &UnitId) -> Result<Option<String>, EngineError> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(labels::managed_filter()),
        ..ListContainersOptions::default()
    };
    let containers = shared.engine.call(async |docker| docker.list_containers(Some(options)).await).await?;
    let found = containers.into_iter().find_map(|container| {
        let labels = container.labels.as_ref().map(Labels::read).unwrap_or_default();
        let name = container.names.as_ref().and_then(|names| names.first())?;
        let id = container.id.as_ref()?;
        (labels.unclaimed() && adopt::unit_id(name, id).as_ref() == Some(unit)).then(|| id.clone())
    });
    if let Some(id) = &found {
        shared.adopted.lock().insert(unit.clone(), id.clone());
    }
    Ok(found)
}

/// A container by name or id, if it exists.
pub(crate) async fn inspect(shared: &Arc<Shared>, container: &str) -> Result<Option<Found>, EngineError> {
    let inspected = shared.engine.call(async |docker| docker.inspect_container(container, None).await).await;
    match inspected {
        Ok(inspected) => {
            let id = inspected.id.clone().unwrap_or_else(|| container.to_owned());
            Ok(Some(Found { id, inspected: Box::new(inspected) }))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
