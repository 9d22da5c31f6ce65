//! From a unit to the container that the engine is asked for.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount, MountType, MountVolumeOptions, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use nd_core::ports::UnitSpec;
use nd_core::spec::{ImageSpec, ReadinessSpec, Resources, VolumeSource, VolumeSpec};

use crate::labels;

/// How often the engine runs a health check while a container starts.
pub(crate) const START_INTERVAL: Duration = Duration::from_millis(500);

/// The container for `unit`, which runs `image`, at `address` of `network`. `quick_health` says that the engine can
/// probe more often while a container starts.
pub(crate) fn body(
    unit: &UnitSpec,
    image: &ImageSpec,
    network: &str,
    address: Ipv4Addr,
    quick_health: bool,
) -> ContainerCreateBody {
    let labels = labels::for_unit(unit, &image.reference);
    ContainerCreateBody {
        // By id where it is known, so that every unit of the release runs the same bytes.
        image: Some(unit.prepared.image_id.clone().unwrap_or_else(|| image.reference.clone())),
        entrypoint: image.entrypoint.clone(),
        cmd: Some(image.command.clone()).filter(|command| !command.is_empty()),
        working_dir: image.working_dir.clone(),
        user: image.user.clone(),
        env: Some(environment(unit)),
        healthcheck: (quick_health && unit.prepared.healthcheck).then(|| quick_start(&unit.spec.readiness)),
        host_config: Some(host_config(unit, network, &labels)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(
                network.to_owned(),
                endpoint(address, names(unit, image)),
            )])),
        }),
        exposed_ports: Some(own_ports(unit).into_keys().collect()).filter(|ports: &Vec<_>| !ports.is_empty()),
        labels: Some(labels),
        ..Default::default()
    }
}

/// What other containers call it: the app's name, and those beside it. Every instance that runs has them, as Compose
/// does it: the names of a running container could only be changed by taking it off its network.
fn names(unit: &UnitSpec, image: &ImageSpec) -> Vec<String> {
    std::iter::once(unit.id.app().to_string()).chain(image.aliases.iter().cloned()).collect()
}

/// A place on a network at a fixed address, under these names.
pub(crate) fn endpoint(address: Ipv4Addr, aliases: Vec<String>) -> EndpointSettings {
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The port the app should listen on: its own, else the lowest that its image declares.
fn port(unit: &UnitSpec) -> Option<NonZeroU16> {
    unit.spec.port.or_else(|| unit.prepared.exposed.first().copied())
}

/// What the app declares wins over what we tell it.
fn environment(unit: &UnitSpec) -> Vec<String> {
    let mut variables: BTreeMap<&str, String> = BTreeMap::from([
        ("NEXTDEPLOY_APP", unit.id.app().to_string()),
        ("NEXTDEPLOY_RELEASE", unit.id.release().to_string()),
        ("NEXTDEPLOY_UNIT", unit.id.to_string()),
    ]);
    variables.extend(port(unit).map(|port| ("PORT", port.to_string())));
    variables.extend(unit.spec.env.iter().map(|(name, value)| (name.as_str(), value.clone())));
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn host_config(unit: &UnitSpec, network: &str, labels: &HashMap<String, String>) -> HostConfig {
    let Resources { cpu_millis, memory, pids } = &unit.spec.resources;
    let memory = memory.map(|size| i64::try_from(size.0).unwrap_or(i64::MAX));
    HostConfig {
        // Many apps ignore SIGTERM and leave zombies when they are the first process.
        init: Some(true),
        // Exits are counted once, by us.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        network_mode: Some(network.to_owned()),
        port_bindings: Some(own_ports(unit).into_iter().map(|(port, binds)| (port, Some(binds))).collect())
            .filter(|bindings: &HashMap<_, _>| !bindings.is_empty()),
        memory,
        // Equal to the memory: no swap, so that a limit is a limit.
        memory_swap: memory,
        nano_cpus: cpu_millis.map(|millis| i64::from(millis.get()) * 1_000_000),
        pids_limit: pids.map(|pids| i64::from(pids.get())),
        mounts: Some(unit.spec.volumes.iter().map(|volume| mount(volume, labels)).collect()),
        ..Default::default()
    }
}

/// The container's ports that are published without the proxy in front, as the engine writes them: `5432/tcp`.
fn own_ports(unit: &UnitSpec) -> BTreeMap<String, Vec<PortBinding>> {
    let mut ports: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for port in unit.spec.host_ports.iter().filter(|_| unit.spec.direct) {
        let binding = PortBinding {
            host_ip: Some(port.bind.ip().to_string()),
            host_port: Some(port.bind.port().to_string()),
        };
        ports.entry(format!("{}/tcp", port.port)).or_default().push(binding);
    }
    ports
}

/// A mount, and not a `bind`: that would make a missing directory of the host, as root, where a typing mistake has to
/// be told.
fn mount(volume: &VolumeSpec, labels: &HashMap<String, String>) -> Mount {
    let (typ, source, volume_options) = match &volume.source {
        VolumeSource::Path(path) => (MountType::BIND, path.to_string_lossy().into_owned(), None),
        VolumeSource::Named(name) => {
            // A volume outlives the unit that first needed it, so it carries the app's labels alone.
            let of_app = |key: &&str| labels.get(*key).map(|value| ((*key).to_owned(), value.clone()));
            let labels = [labels::MANAGED, labels::DAEMON, labels::APP].iter().filter_map(of_app).collect();
            (
                MountType::VOLUME,
                name.clone(),
                Some(MountVolumeOptions { labels: Some(labels), ..Default::default() }),
            )
        }
    };
    Mount {
        target: Some(volume.target.clone()),
        source: Some(source),
        typ: Some(typ),
        read_only: Some(volume.read_only),
        volume_options,
        ..Default::default()
    }
}

/// An engine probes for the first time after its interval, 30 s by default: a deploy would wait for nothing. The start
/// ends with the first success, and until then the core keeps the deadline. What stays empty comes from the image.
fn quick_start(readiness: &ReadinessSpec) -> HealthConfig {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        start_period: Some(nanos(readiness.start_period + readiness.deadline)),
        start_interval: Some(nanos(START_INTERVAL)),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use nd_core::ports::Prepared;
    use nd_core::spec::{AppSpec, HostPortSpec, Workload};
    use nd_types::{ByteSize, HostPortProtocol};

    use super::*;

    fn image() -> ImageSpec {
        ImageSpec { user: Some("node".to_owned()), ..ImageSpec::new("node:22") }
    }

    fn unit(change: impl FnOnce(&mut AppSpec, &mut Prepared)) -> UnitSpec {
        let mut spec = AppSpec::new(Workload::Image(image()));
        let mut prepared = Prepared { image_id: Some("sha256:abc".to_owned()), ..Prepared::default() };
        change(&mut spec, &mut prepared);
        UnitSpec {
            id: "shop-8f3k2a-1".parse().unwrap(),
            daemon: "d1".parse().unwrap(),
            spec: Arc::new(spec),
            prepared,
        }
    }

    fn body_of(unit: &UnitSpec, quick_health: bool) -> ContainerCreateBody {
        body(unit, &image(), "nextdeploy", Ipv4Addr::new(10, 83, 0, 7), quick_health)
    }

    #[test]
    fn a_container_is_labelled_limited_and_at_its_address() {
        let unit = unit(|spec, _| {
            spec.resources.memory = Some(ByteSize(64 << 20));
            spec.resources.cpu_millis = 500.try_into().ok();
            spec.resources.pids = 100.try_into().ok();
        });
        let body = body_of(&unit, true);
        assert_eq!(body.image.as_deref(), Some("sha256:abc"));
        assert_eq!((body.user.as_deref(), body.cmd, body.healthcheck), (Some("node"), None, None));
        let labels = body.labels.unwrap();
        assert_eq!(labels.get("nextdeploy.unit").map(String::as_str), Some("shop-8f3k2a-1"));
        assert_eq!(labels.get("nextdeploy.daemon").map(String::as_str), Some("d1"));
        let host = body.host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!((host.nano_cpus, host.pids_limit, host.init), (Some(500_000_000), Some(100), Some(true)));
        assert_eq!(host.port_bindings, None);
        let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
        let endpoint = endpoints.get("nextdeploy").unwrap();
        let address = endpoint.ipam_config.as_ref().unwrap().ipv4_address.as_deref();
        assert_eq!(address, Some("10.83.0.7"));
        assert_eq!(endpoint.aliases.as_deref(), Some(["shop".to_owned()].as_slice()));
    }

    #[test]
    fn only_an_app_without_the_proxy_has_ports_of_the_host() {
        let port = HostPortSpec {
            bind: "127.0.0.1:15432".parse().unwrap(),
            port: 5432.try_into().unwrap(),
            protocol: HostPortProtocol::Tcp,
        };
        let behind = unit(|spec, _| spec.host_ports = vec![port.clone()]);
        assert_eq!(body_of(&behind, true).host_config.unwrap().port_bindings, None);
        let direct = unit(|spec, _| (spec.host_ports, spec.direct) = (vec![port.clone()], true));
        let body = body_of(&direct, true);
        assert_eq!(body.exposed_ports, Some(vec!["5432/tcp".to_owned()]));
        let bindings = body.host_config.unwrap().port_bindings.unwrap();
        let binding = &bindings.get("5432/tcp").unwrap().as_ref().unwrap()[0];
        assert_eq!(
            (binding.host_ip.as_deref(), binding.host_port.as_deref()),
            (Some("127.0.0.1"), Some("15432"))
        );
    }

    #[test]
    fn what_is_said_of_an_image_replaces_what_it_says_itself() {
        let unit = unit(|_, _| ());
        let image = ImageSpec {
            entrypoint: Some(Vec::new()),
            working_dir: Some("/srv".to_owned()),
            aliases: vec!["my_shop".to_owned()],
            ..image()
        };
        let body = body(&unit, &image, "nextdeploy", Ipv4Addr::new(10, 83, 0, 7), true);
        assert_eq!((body.entrypoint, body.working_dir.as_deref()), (Some(Vec::new()), Some("/srv")));
        let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
        let names = endpoints.get("nextdeploy").unwrap().aliases.clone().unwrap();
        assert_eq!(names, ["shop", "my_shop"]);
    }

    #[test]
    fn an_app_is_told_its_port_unless_it_declares_one() {
        let env = |unit: &UnitSpec| body_of(unit, true).env.unwrap();
        let exposed = unit(|_, prepared| prepared.exposed = vec![8080.try_into().unwrap()]);
        assert!(env(&exposed).contains(&"PORT=8080".to_owned()));
        let own = unit(|spec, _| {
            spec.port = 3000.try_into().ok();
            spec.env.insert("PORT".to_owned(), "4000".to_owned());
        });
        assert_eq!(
            env(&own).iter().filter(|variable| variable.starts_with("PORT=")).collect::<Vec<_>>(),
            ["PORT=4000"]
        );
        assert!(!env(&unit(|_, _| ())).iter().any(|variable| variable.starts_with("PORT=")));
        assert!(env(&own).contains(&"NEXTDEPLOY_UNIT=shop-8f3k2a-1".to_owned()));
    }

    #[test]
    fn a_named_volume_carries_the_apps_labels_and_a_path_none() {
        let volume = |source, target: &str| VolumeSpec { source, target: target.to_owned(), read_only: true };
        let unit = unit(|spec, _| {
            spec.volumes = vec![
                volume(VolumeSource::Named("data".to_owned()), "/data"),
                volume(VolumeSource::Path(PathBuf::from("/srv/www")), "/www"),
            ];
        });
        let mounts = body_of(&unit, true).host_config.unwrap().mounts.unwrap();
        let [named, path] = mounts.as_slice() else { panic!("two mounts") };
        let labels = named.volume_options.as_ref().unwrap().labels.as_ref().unwrap();
        assert_eq!(labels.len(), 3);
        assert!(!labels.contains_key("nextdeploy.unit"));
        assert_eq!((path.typ, path.source.as_deref()), (Some(MountType::BIND), Some("/srv/www")));
        assert_eq!(path.volume_options, None);
    }

    #[test]
    fn an_image_with_a_health_check_is_probed_often_while_it_starts_where_the_engine_can() {
        let unit = unit(|_, prepared| prepared.healthcheck = true);
        let check = body_of(&unit, true).healthcheck.unwrap();
        assert_eq!((check.start_interval, check.test, check.interval), (Some(500_000_000), None, None));
        assert_eq!(body_of(&unit, false).healthcheck, None);
    }
}
