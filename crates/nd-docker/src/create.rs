//! Containers come and go.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};
use hyper::Method;
use nd_core::ports::{PortError, PortErrorKind, PortResult, UnitObserved, UnitSpec};
use nd_core::spec::{ImageSpec, Workload};
use nd_types::UnitId;

use crate::body;
use crate::engine::{ApiVersion, EngineError, request};
use crate::failure::port_error;
use crate::find::{self, Lookup};
use crate::observed::observed;
use crate::runtime::Shared;

/// How long a removal that somebody else began may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// Creates the unit's container, or answers the one that it has.
pub(crate) async fn create(shared: &Arc<Shared>, unit: &UnitSpec) -> PortResult<UnitObserved> {
    let Workload::Image(image) = &unit.spec.workload else {
        let context = format!("create unit {}: a command of the host is no container", unit.id);
        return Err(PortError::new(PortErrorKind::Invalid, context));
    };
    shared.daemons.lock().insert(unit.daemon.clone());
    let tried = format!("create unit {}", unit.id);
    match find::lookup(shared, &unit.id).await? {
        Lookup::Unit(found) => return Ok(observed(&found.inspected, &shared.settings.network)),
        Lookup::Foreign => return Err(name_taken(&unit.id)),
        Lookup::None => {}
    }
    let made = make(shared, unit, image).await?;
    if let Err(error) = made {
        // A container of that name came meanwhile: by an earlier try of ours whose answer was lost, or by somebody else.
        let found = if error.is_conflict() { find::existing(shared, &unit.id).await? } else { None };
        return match found {
            Some(found) => Ok(observed(&found.inspected, &shared.settings.network)),
            None if error.is_conflict() => Err(name_taken(&unit.id)),
            None => Err(port_error(&tried, error)),
        };
    }
    let found = find::unit(shared, &unit.id).await?;
    Ok(observed(&found.inspected, &shared.settings.network))
}

async fn make(
    shared: &Arc<Shared>,
    unit: &UnitSpec,
    image: &ImageSpec,
) -> PortResult<Result<(), EngineError>> {
    let session = shared
        .engine
        .session()
        .await
        .map_err(|error| port_error(&format!("create unit {}", unit.id), error))?;
    let mut addresses = shared.addresses.lock().await;
    let address = addresses.allocate(shared).await?;
    let quick_health = session.api >= ApiVersion::START_INTERVAL;
    let container = body::body(unit, image, &shared.settings.network, address, quick_health);
    let options =
        CreateContainerOptions { name: Some(unit.id.to_string()), ..CreateContainerOptions::default() };
    let made =
        shared.engine.call(async |docker| docker.create_container(Some(options), container).await).await;
    Ok(made.map(|made| {
        for warning in made.warnings {
            tracing::warn!(unit = %unit.id, %warning, "docker engine warns about a new container");
        }
    }))
}

fn name_taken(unit: &UnitId) -> PortError {
    let context = format!("create unit {unit}: another container has that name");
    PortError::new(PortErrorKind::Conflict, context).with_fix(format!("docker rename {unit} NEW-NAME"))
}

/// Removes the unit's container with what it wrote; named volumes stay.
pub(crate) async fn remove(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<()> {
    let Some(found) = find::existing(shared, unit).await? else { return Ok(()) };
    let tried = format!("remove unit {unit}");
    // `v` takes the volumes without a name, which nobody could ever find again.
    let options = RemoveContainerOptions { force: true, v: true, link: false };
    let removed =
        shared.engine.call(async |docker| docker.remove_container(&found.id, Some(options)).await).await;
    match removed {
        Ok(()) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) if error.is_conflict() && error.says("already in progress") => {
            await_removal(shared, &found.id).await.map_err(|error| port_error(&tried, error))?;
        }
        Err(error) => return Err(port_error(&tried, error)),
    }
    shared.adopted.lock().remove(unit);
    shared.main_processes.lock().remove(unit);
    if let Some(address) = address(&found.inspected, &shared.settings.network) {
        shared.addresses.lock().await.release(address);
    }
    Ok(())
}

async fn await_removal(shared: &Arc<Shared>, container: &str) -> Result<(), EngineError> {
    let request = request(Method::POST, &format!("/containers/{container}/wait?condition=removed"))?;
    let waited = tokio::time::timeout(REMOVAL, async {
        let mut body = shared.engine.open(request).await?;
        while body.chunk().await?.is_some() {}
        Ok::<(), EngineError>(())
    });
    match waited.await {
        Ok(Err(error)) if error.is_not_found() => Ok(()),
        Ok(result) => result,
        Err(_) => Err(EngineError::Timeout(REMOVAL)),
    }
}

/// The address that the container holds on our network, whether it runs or not.
pub(crate) fn address(container: &ContainerInspectResponse, network: &str) -> Option<Ipv4Addr> {
    let endpoint = container.network_settings.as_ref()?.networks.as_ref()?.get(network)?;
    let wanted = endpoint.ipam_config.as_ref().and_then(|config| config.ipv4_address.as_deref());
    wanted.into_iter().chain(endpoint.ip_address.as_deref()).find_map(|address| address.parse().ok())
}
