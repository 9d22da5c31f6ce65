//! No two units ever share an address, and a freed one rests.

use std::collections::BTreeSet;
use std::sync::Arc;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig,
};
use futures_util::future::join_all;
use nd_core::ports::{Runtime, Signal};
use nd_docker::DockerRuntime;

use super::bench::{Bench, get, with_engine};

/// The address that the engine will give the unit at its start.
async fn address(bench: &Bench, container: &str) -> String {
    let container = bench.docker.inspect_container(container, None).await.unwrap();
    let networks = container.network_settings.unwrap().networks.unwrap();
    networks[&bench.settings.network].ipam_config.clone().unwrap().ipv4_address.unwrap()
}

/// Whether other containers still reach the unit by the name of its app.
async fn is_named(bench: &Bench, container: &str) -> bool {
    let container = bench.docker.inspect_container(container, None).await.unwrap();
    let networks = container.network_settings.unwrap().networks.unwrap();
    networks[&bench.settings.network].aliases.iter().flatten().any(|name| name == "shop")
}

#[tokio::test]
async fn units_that_are_created_at_once_get_addresses_of_their_own() {
    with_engine(async |bench| {
        let units = join_all((1..=8).map(|slot| bench.unit(slot, bench.spec(&[])))).await;
        let created = join_all(units.iter().map(|unit| bench.runtime.create(unit))).await;
        assert!(created.iter().all(Result::is_ok), "{created:?}");
        let addresses = join_all(units.iter().map(|unit| address(&bench, unit.id.as_str()))).await;
        assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 8, "{addresses:?}");
    })
    .await;
}

#[tokio::test]
async fn a_freed_address_rests_and_a_restart_of_the_daemon_does_not_end_that() {
    with_engine(async |bench| {
        let first = bench.started(1, &[]).await;
        let freed = address(&bench, first.as_str()).await;
        bench.runtime.remove(&first).await.unwrap();
        let second = bench.created(2, &[]).await;
        let behind_our_back = address(&bench, second.as_str()).await;
        assert_ne!(behind_our_back, freed);
        bench.docker.remove_container(second.as_str(), None).await.unwrap();

        let restarted = DockerRuntime::new(bench.settings.clone(), Some(bench.state.path().to_owned()));
        for slot in 3..6 {
            let unit = bench.unit(slot, bench.spec(&[])).await;
            restarted.create(&unit).await.unwrap();
            let given = address(&bench, unit.id.as_str()).await;
            assert!(given != freed && given != behind_our_back, "{given} was given again");
        }
    })
    .await;
}

#[tokio::test]
async fn a_unit_whose_address_was_taken_while_it_was_stopped_starts_at_another() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[]).await;
        let taken = address(&bench, unit.as_str()).await;
        bench.runtime.signal(&unit, Signal::Kill).await.unwrap();
        bench.runtime.wait(&unit).await.unwrap();
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(taken.clone()), ..Default::default() }),
            ..Default::default()
        };
        let network = bench.settings.network.clone();
        let body = ContainerCreateBody {
            image: Some(bench.image.clone()),
            labels: Some([("nd-test".to_owned(), bench.daemon.to_string())].into()),
            host_config: Some(HostConfig { network_mode: Some(network.clone()), ..Default::default() }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(network, endpoint)].into()),
            }),
            ..Default::default()
        };
        let thief = bench.docker.create_container(None, body).await.unwrap().id;
        bench.docker.start_container(&thief, None).await.unwrap();

        let started = bench.runtime.start(&unit).await.unwrap();
        assert!(started.status.is_running());
        assert_ne!(started.ip.unwrap().to_string(), taken);
        assert!(is_named(&bench, unit.as_str()).await);
        let answer = get((started.ip.unwrap(), 3000).into(), "/").await;
        assert!(answer.contains(unit.as_str()), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_network_that_was_removed_is_made_again() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[]).await;
        bench.runtime.signal(&unit, Signal::Kill).await.unwrap();
        bench.runtime.wait(&unit).await.unwrap();
        bench.docker.remove_network(&bench.settings.network).await.unwrap();
        let started = bench.runtime.start(&unit).await.unwrap();
        let answer = get((started.ip.expect("it has an address"), 3000).into(), "/").await;
        assert!(answer.contains(unit.as_str()), "{answer}");
        assert!(is_named(&bench, unit.as_str()).await);
    })
    .await;
}

#[tokio::test]
async fn two_daemons_that_start_at_once_share_one_network() {
    with_engine(async |bench| {
        let other = DockerRuntime::new(bench.settings.clone(), None);
        let (mine, theirs) = (bench.unit(1, bench.spec(&[])).await, bench.unit(2, bench.spec(&[])).await);
        let (first, second) = tokio::join!(bench.runtime.create(&mine), other.create(&theirs));
        first.unwrap();
        second.unwrap();
        let networks = bench.docker.list_networks(None).await.unwrap();
        let ours =
            networks.iter().filter(|network| network.name.as_ref() == Some(&bench.settings.network)).count();
        assert_eq!(ours, 1);
        for unit in [&mine.id, &theirs.id] {
            bench.runtime.start(unit).await.unwrap();
        }
        let started = Arc::new(bench.look(&mine.id).await.unwrap());
        assert!(started.status.is_running());
    })
    .await;
}

#[tokio::test]
async fn the_kernel_looks_often_for_a_container_that_is_to_be_back_soon() {
    with_engine(async |bench| {
        bench.started(1, &[]).await;
        let network = bench.docker.inspect_network(&bench.settings.network, None).await.unwrap();
        let bridge = format!("br-{}", &network.id.unwrap()[..12]);
        let file = format!("/proc/sys/net/ipv4/neigh/{bridge}/retrans_time_ms");
        let every: u64 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        // In ticks of the kernel, of which there are at least a hundred a second.
        assert!((50..=60).contains(&every), "{every}");
    })
    .await;
}
