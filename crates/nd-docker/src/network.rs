//! The bridge network that units are on, and their addresses there.

mod routes;

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
use nd_core::ports::{PortError, PortErrorKind, PortResult};
use nd_supervise::{Clock, SystemClock};

use crate::addresses::{AddressBook, QUARANTINE, StoredBook};
use crate::engine::EngineError;
use crate::failure::port_error;
use crate::labels;
use crate::runtime::Shared;
use crate::subnet::Subnet;

/// Subnets that are tried first when none is configured: private, and away from what engines, clouds and home routers
/// choose by themselves.
const PREFERRED: &[&str] =
    &["10.83.0.0/16", "10.183.0.0/16", "10.213.0.0/16", "172.29.0.0/16", "192.168.224.0/20"];

/// The addresses of units, with where the list of them is kept.
#[derive(Debug)]
pub(crate) struct Addresses {
    file: Option<PathBuf>,
    /// Read when the first address is chosen.
    book: Option<AddressBook>,
}

impl Addresses {
    pub(crate) fn new(state_dir: Option<PathBuf>) -> Self {
        Self { file: state_dir.map(|dir| dir.join("docker-addresses.json")), book: None }
    }

    /// Chooses an address for a new container. Keep the lock on `self` until the container exists.
    pub(crate) async fn allocate(&mut self, shared: &Arc<Shared>) -> PortResult<Ipv4Addr> {
        let tried = format!("choose an address on network {}", shared.settings.network);
        let subnet = ensure(shared).await.map_err(|error| port_error(&tried, error))?;
        let used = used(shared).await.map_err(|error| port_error(&tried, error))?;
        let file = self.file.clone();
        let book = match self.book.take() {
            Some(book) => book,
            None => load(file.clone()).await,
        };
        let book = self.book.insert(book);
        let address = book.allocate(subnet, &used, SystemClock.mono()).ok_or_else(|| {
            let context = format!(
                "{tried}: all addresses of {subnet} are taken or were freed less than 10 minutes ago"
            );
            let mut error = PortError::new(PortErrorKind::Exhausted, context)
                .with_fix("remove apps or old releases, or configure a larger `subnet` on a new `network`");
            error.retry_after = Some(QUARANTINE);
            error
        })?;
        if let Some(file) = file {
            let stored = book.to_stored();
            // Before the container exists: an address that is known nowhere would not rest after a restart.
            save(file, stored).await.map_err(|error| {
                PortError::new(
                    PortErrorKind::Exhausted,
                    format!("{tried}: the list of addresses cannot be written"),
                )
                .with_source(error)
            })?;
        }
        Ok(address)
    }

    /// The container that had `address` is gone.
    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        if let Some(book) = &mut self.book {
            book.release(address, SystemClock.mono());
        }
    }
}

/// Makes sure that the network exists, and gives its subnet.
async fn ensure(shared: &Arc<Shared>) -> Result<Subnet, EngineError> {
    if let Some(network) = oldest(shared).await? {
        return subnet_of(&network);
    }
    let local = shared.engine.session().await?.local;
    let routes = if local { routes::of_host().await } else { Vec::new() };
    let subnets = match shared.settings.subnet {
        Some(subnet) => vec![subnet],
        None => free(&routes).collect(),
    };
    let mut refusal = EngineError::Refused {
        status: 409,
        message: "every subnet of 10.0.0.0/8 overlaps a route of the host".to_owned(),
    };
    for subnet in subnets {
        match create(shared, subnet).await {
            Ok(()) => {
                let network = oldest(shared).await?;
                return network.as_ref().map_or(Ok(subnet), subnet_of);
            }
            Err(error) if error.is_conflict() || error.says("overlap") || error.says("already exists") => {
                if let Some(network) = soon(shared).await? {
                    return subnet_of(&network);
                }
                refusal = error;
            }
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

/// The subnets that none of `routes` leads into, the preferred ones first: a bridge over a route cuts it off. Engines
/// that were killed leave routes behind, so that a few subnets are not enough.
fn free(routes: &[Subnet]) -> impl Iterator<Item = Subnet> {
    let preferred = PREFERRED.iter().filter_map(|subnet| subnet.parse().ok());
    let others = (1..=254).map(|second| Subnet::around(Ipv4Addr::new(10, second, 0, 0), 16));
    preferred.chain(others).filter(|subnet| !routes.iter().any(|route| route.overlaps(*subnet)))
}

/// The network of our name. Engines before 25 make a second one of the same name without a word when two daemons start
/// at once: then the oldest counts, and the others, on which there is nobody yet, go.
async fn oldest(shared: &Arc<Shared>) -> Result<Option<Network>, EngineError> {
    let name = &shared.settings.network;
    let filters = Some(HashMap::from([("name".to_owned(), vec![name.clone()])]));
    let options = ListNetworksOptions { filters };
    let mut networks = shared.engine.call(async |docker| docker.list_networks(Some(options)).await).await?;
    // The filter finds parts of names too.
    networks.retain(|network| network.name.as_ref() == Some(name));
    networks.sort_by_cached_key(|network| {
        (network.created.as_ref().map(ToString::to_string), network.id.clone())
    });
    let mut networks = networks.into_iter();
    let oldest = networks.next();
    for twin in networks.filter_map(|network| network.id) {
        let removed = shared.engine.call(async |docker| docker.remove_network(&twin).await).await;
        if let Err(error) = removed
            && !error.is_not_found()
        {
            tracing::warn!(network = %name, %error, "a second network of the same name cannot be removed");
        }
    }
    Ok(oldest)
}

/// Another daemon may be making the network just now: its addresses are taken before it can be seen.
async fn soon(shared: &Arc<Shared>) -> Result<Option<Network>, EngineError> {
    for _ in 0..5 {
        if let Some(network) = oldest(shared).await? {
            return Ok(Some(network));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}

fn subnet_of(network: &Network) -> Result<Subnet, EngineError> {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let mut subnets =
        configs.into_iter().flatten().filter_map(|config| config.subnet.as_deref()?.parse().ok());
    subnets.next().ok_or_else(|| EngineError::Refused {
        status: 400,
        message: format!("network {} has no IPv4 subnet", network.name.as_deref().unwrap_or_default()),
    })
}

async fn create(shared: &Arc<Shared>, subnet: Subnet) -> Result<(), EngineError> {
    let config = IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(subnet.gateway().to_string()),
        ip_range: Some(subnet.engine_half().to_string()),
        ..IpamConfig::default()
    };
    let request = NetworkCreateRequest {
        name: shared.settings.network.clone(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
        labels: Some(HashMap::from([(labels::MANAGED.to_owned(), "true".to_owned())])),
        ..NetworkCreateRequest::default()
    };
    shared.engine.call(async |docker| docker.create_network(request).await).await?;
    tracing::info!(network = %shared.settings.network, %subnet, "docker network created");
    Ok(())
}

/// The addresses of all containers on the network, whoever made them and whether they run or not.
async fn used(shared: &Arc<Shared>) -> Result<BTreeSet<Ipv4Addr>, EngineError> {
    let name = &shared.settings.network;
    let filters = Some(HashMap::from([("network".to_owned(), vec![name.clone()])]));
    let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
    let containers = shared.engine.call(async |docker| docker.list_containers(Some(options)).await).await?;
    let endpoints = containers
        .iter()
        .filter_map(|container| container.network_settings.as_ref()?.networks.as_ref()?.get(name));
    let addresses = endpoints.flat_map(|endpoint| {
        let wanted = endpoint.ipam_config.as_ref().and_then(|config| config.ipv4_address.as_deref());
        [wanted, endpoint.ip_address.as_deref()]
    });
    Ok(addresses.flatten().filter_map(|address| address.parse().ok()).collect())
}

async fn load(file: Option<PathBuf>) -> AddressBook {
    let Some(file) = file else { return AddressBook::default() };
    let read = nd_supervise::blocking("read docker addresses", move || read(&file)).await;
    read.unwrap_or_default().into()
}

/// Without a readable list nothing is known to rest; that is no reason to stop deploying.
fn read(file: &Path) -> StoredBook {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return StoredBook::default(),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "the list of docker addresses cannot be read");
            return StoredBook::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), %error, "the list of docker addresses is damaged and starts anew");
        StoredBook::default()
    })
}

async fn save(file: PathBuf, stored: StoredBook) -> std::io::Result<()> {
    let written = nd_supervise::blocking("write docker addresses", move || {
        let text = serde_json::to_vec(&stored)?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let draft = file.with_extension("json.new");
        // Not synced: a power failure ends every connection to an old address as well.
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, &file)
    });
    written.await.unwrap_or_else(|failure| Err(std::io::Error::other(failure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_engines_left_behind_takes_no_subnet_away_from_the_next() {
        let routes: Vec<Subnet> = free(&[]).take(20).collect();
        let next = free(&routes).next().unwrap();
        assert!(!routes.iter().any(|route| route.overlaps(next)), "{next}");
        let all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(|route| route.parse().unwrap());
        assert_eq!(free(&all).count(), 0);
    }

    #[test]
    fn every_preferred_subnet_is_one_and_none_is_in_anothers_way() {
        let subnets: Vec<Subnet> = PREFERRED.iter().map(|subnet| subnet.parse().unwrap()).collect();
        for (place, subnet) in subnets.iter().enumerate() {
            assert!(subnets.iter().skip(place + 1).all(|other| !other.overlaps(*subnet)), "{subnet}");
        }
    }

    #[tokio::test]
    async fn a_list_of_addresses_survives_and_a_damaged_one_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new").join("docker-addresses.json");
        let stored = r#"{"next":"10.83.0.9","held":["10.83.0.8"]}"#;
        save(file.clone(), serde_json::from_str(stored).unwrap()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), stored);
        let book = load(Some(file.clone())).await;
        assert_eq!(serde_json::to_string(&book.to_stored()).unwrap(), stored);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(
            serde_json::to_string(&load(Some(file)).await.to_stored()).unwrap(),
            r#"{"next":null,"held":[]}"#
        );
    }
}
