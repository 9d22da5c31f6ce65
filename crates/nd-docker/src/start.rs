//! Containers start, and get signals.

use std::sync::Arc;

use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::KillContainerOptions;
use nd_core::ports::{PortError, PortErrorKind, PortResult, Signal, UnitObserved};
use nd_types::UnitId;

use crate::body;
use crate::create;
use crate::engine::EngineError;
use crate::failure::port_error;
use crate::find::{self, Found};
use crate::neighbors;
use crate::observed;
use crate::runtime::Shared;

/// Starts the unit's container.
pub(crate) async fn start(shared: &Arc<Shared>, unit: &UnitId) -> PortResult<UnitObserved> {
    let found = find::unit(shared, unit).await?;
    let network = &shared.settings.network;
    if found.runs() {
        return Ok(observed::observed(&found.inspected, network));
    }
    let tried = format!("start unit {unit}");
    match run(shared, &found.id).await {
        Ok(()) => {}
        // Somebody else took its address while it was stopped, or the network was removed behind our back.
        Err(error) if lost_its_place(&error) => {
            readdress(shared, &found).await?;
            run(shared, &found.id).await.map_err(|error| port_error(&tried, error))?;
        }
        Err(error) => return Err(port_error(&tried, error)),
    }
    let started = again(shared, unit, &found.id, &tried).await?;
    neighbors::ask_often(shared, &started.inspected).await;
    if claimed(&started) && started.runs() && create::address(&started.inspected, network).is_none() {
        // An engine starts a container without any network when its own is gone.
        readdress(shared, &started).await?;
        let connected = again(shared, unit, &found.id, &tried).await?;
        return Ok(observed::observed(&connected.inspected, network));
    }
    Ok(observed::observed(&started.inspected, network))
}

async fn again(shared: &Arc<Shared>, unit: &UnitId, container: &str, tried: &str) -> PortResult<Found> {
    let found = find::inspect(shared, container).await.map_err(|error| port_error(tried, error))?;
    found.ok_or_else(|| {
        PortError::new(PortErrorKind::NotFound, format!("start unit {unit}: it was removed meanwhile"))
    })
}

async fn run(shared: &Arc<Shared>, container: &str) -> Result<(), EngineError> {
    shared.engine.call(async |docker| docker.start_container(container, None).await).await
}

fn lost_its_place(error: &EngineError) -> bool {
    // A port of the host is taken in words that look alike.
    let host_port = error.says("external connectivity") || error.says("bind");
    (error.says("address already in use") && !host_port) || (error.says("network") && error.says("not found"))
}

/// Whether we created it: only then is its place on our network.
fn claimed(found: &Found) -> bool {
    observed::labels(&found.inspected).daemon.is_some()
}

/// Gives the container a new address on our network.
async fn readdress(shared: &Arc<Shared>, found: &Found) -> PortResult<()> {
    let tried = format!("give unit {} a new address", observed::name(&found.inspected));
    let network = &shared.settings.network;
    let container = found.id.clone();
    let mut addresses = shared.addresses.lock().await;
    let address = addresses.allocate(shared).await?;
    let leave = NetworkDisconnectRequest { container: container.clone(), force: Some(true) };
    if let Err(error) =
        shared.engine.call(async |docker| docker.disconnect_network(network, leave).await).await
    {
        // Where the network was made anew, the container is not on it yet.
        tracing::debug!(%container, %error, "container was not on its network");
    }
    let endpoint = body::endpoint(address, names(found, network));
    let join = NetworkConnectRequest { container, endpoint_config: Some(endpoint) };
    let joined = shared.engine.call(async |docker| docker.connect_network(network, join).await).await;
    joined.map_err(|error| port_error(&tried, error))?;
    tracing::info!(unit = observed::name(&found.inspected), %address, "unit has a new address");
    Ok(())
}

/// What the container was called on our network; the name of its app where it has left that already.
fn names(found: &Found, network: &str) -> Vec<String> {
    let networks = found.inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let aliases = networks.and_then(|networks| networks.get(network)?.aliases.clone()).unwrap_or_default();
    // The engine adds the container's own id.
    let kept: Vec<String> = aliases.into_iter().filter(|name| !found.id.starts_with(name.as_str())).collect();
    if kept.is_empty() { observed::labels(&found.inspected).app.into_iter().collect() } else { kept }
}

/// Sends a signal to the unit's container; one that does not run is left alone.
pub(crate) async fn signal(shared: &Arc<Shared>, unit: &UnitId, signal: Signal) -> PortResult<()> {
    let Some(found) = find::existing(shared, unit).await? else { return Ok(()) };
    if !found.runs() {
        return Ok(());
    }
    let config = found.inspected.config.as_ref();
    let signal = match signal {
        Signal::Kill => "SIGKILL".to_owned(),
        Signal::Stop(Some(number)) => number.to_string(),
        Signal::Stop(None) => config
            .and_then(|config| config.stop_signal.clone())
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(|| "SIGTERM".to_owned()),
    };
    let tried = format!("send {signal} to unit {unit}");
    let options = KillContainerOptions { signal };
    match shared.engine.call(async |docker| docker.kill_container(&found.id, Some(options)).await).await {
        Ok(()) => Ok(()),
        // It ended meanwhile.
        Err(error) if error.is_not_found() || error.says("is not running") => Ok(()),
        Err(error) => Err(port_error(&tried, error)),
    }
}
