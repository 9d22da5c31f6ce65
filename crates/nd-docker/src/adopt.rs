//! Containers that carry our label but no daemon's id: what they are called here, and what made them.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use bollard::models::{ContainerInspectResponse, HostConfig, ImageInspect, MountPoint};
use nd_core::spec::{AppSpec, ImageSpec, Resources, VolumeSource, VolumeSpec, Workload};
use nd_types::{AppName, ByteSize, ReleaseId, UnitId};

/// The unit that an unclaimed container is: its app is its name, its release comes of its id. The same container is
/// always the same unit.
pub(crate) fn unit_id(container_name: &str, container_id: &str) -> Option<UnitId> {
    let release: String = container_id.chars().filter(char::is_ascii_hexdigit).take(6).collect();
    let release: ReleaseId = release.to_ascii_lowercase().parse().ok()?;
    Some(UnitId::new(&app_name(container_name)?, &release, 1))
}

/// Whether the unit can be an unclaimed container at all; most others cannot, which saves a look at all containers.
pub(crate) fn may_be_adopted(unit: &UnitId) -> bool {
    let release = unit.release().as_str();
    unit.slot() == 1 && release.len() == 6 && release.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The nearest app name to a container's name (`/My_Shop.1` → `my-shop-1`).
fn app_name(container_name: &str) -> Option<AppName> {
    let name: String = container_name
        .trim_start_matches('/')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(AppName::MAX_LENGTH)
        .collect();
    AppName::new(name.trim_matches('-')).ok()
}

/// What it would take to create the container again. What comes from its image stays the image's.
pub(crate) fn spec(container: &ContainerInspectResponse, image: Option<&ImageInspect>) -> AppSpec {
    let config = container.config.clone().unwrap_or_default();
    let defaults = image.and_then(|image| image.config.clone()).unwrap_or_default();
    let user = config.user.filter(|user| !user.is_empty() && defaults.user.as_ref() != Some(user));
    let entrypoint = config.entrypoint.filter(|words| defaults.entrypoint.as_ref() != Some(words));
    // With an entrypoint of its own the image's command has to be said again.
    let said = |command: &Vec<String>| entrypoint.is_some() || defaults.cmd.as_ref() != Some(command);
    let command = config.cmd.filter(said).unwrap_or_default();
    let working_dir =
        config.working_dir.filter(|dir| !dir.is_empty() && defaults.working_dir.as_ref() != Some(dir));
    let reference = config.image.or_else(|| container.image.clone()).unwrap_or_default();
    let mut spec = AppSpec::new(Workload::Image(ImageSpec {
        reference,
        entrypoint,
        command,
        working_dir,
        user,
        aliases: Vec::new(),
    }));
    spec.env = environment(config.env.unwrap_or_default(), &defaults.env.unwrap_or_default());
    spec.port = spec.env.get("PORT").and_then(|port| port.parse().ok());
    spec.volumes = container.mounts.iter().flatten().filter_map(volume).collect();
    spec.resources = container.host_config.as_ref().map(resources).unwrap_or_default();
    spec
}

fn environment(container: Vec<String>, image: &[String]) -> BTreeMap<String, String> {
    container
        .into_iter()
        .filter(|variable| !image.contains(variable))
        .filter_map(|variable| {
            let (name, value) = variable.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Named volumes and directories of the host; an anonymous volume belongs to its container alone.
fn volume(mount: &MountPoint) -> Option<VolumeSpec> {
    let source = match mount.typ.as_deref()? {
        "bind" => VolumeSource::Path(PathBuf::from(mount.source.as_ref()?)),
        "volume" => VolumeSource::Named(mount.name.clone().filter(|name| !is_anonymous(name))?),
        _ => return None,
    };
    Some(VolumeSpec { source, target: mount.destination.clone()?, read_only: mount.rw == Some(false) })
}

/// The engine calls a volume without a name by 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn resources(host: &HostConfig) -> Resources {
    let positive =
        |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let small = |value: u64| u32::try_from(value).ok().and_then(NonZeroU32::new);
    Resources {
        cpu_millis: positive(host.nano_cpus).and_then(|nanos| small(nanos / 1_000_000)),
        memory: positive(host.memory).map(ByteSize),
        pids: positive(host.pids_limit).and_then(small),
    }
}

/// The ports in `["80/tcp", "53/udp"]` that speak TCP, lowest first.
pub(crate) fn tcp_ports(exposed: Option<&Vec<String>>) -> Vec<NonZeroU16> {
    let mut ports: Vec<NonZeroU16> = exposed
        .into_iter()
        .flatten()
        .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
        .collect();
    ports.sort_unstable();
    ports
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ImageConfig};

    use super::*;

    const ID: &str = "71e50cd0f8df55de1db82c5c98f84114fa6af86ba8408a79c6811de9e46681bb";

    #[test]
    fn an_unclaimed_container_is_always_the_same_unit() {
        assert_eq!(unit_id("/My_Shop.1", ID).unwrap().as_str(), "my-shop-1-71e50c-1");
        assert_eq!(unit_id("/My_Shop.1", ID), unit_id("My_Shop.1", ID));
        assert_eq!(unit_id("/___", ID), None);
        assert!(may_be_adopted(&unit_id("/shop", ID).unwrap()));
        assert!(!may_be_adopted(&"shop-8f3k2a-1".parse().unwrap()));
    }

    #[test]
    fn what_the_image_declares_is_not_part_of_the_wish() {
        let strings =
            |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        let container = ContainerInspectResponse {
            config: Some(ContainerConfig {
                image: Some("node:22".to_owned()),
                env: strings(&["PATH=/bin", "PORT=8080", "MODE=a=b"]),
                cmd: strings(&["node"]),
                user: Some(String::new()),
                ..Default::default()
            }),
            mounts: Some(vec![
                MountPoint {
                    typ: Some("volume".to_owned()),
                    name: Some("data".to_owned()),
                    destination: Some("/data".to_owned()),
                    rw: Some(true),
                    ..Default::default()
                },
                MountPoint {
                    typ: Some("volume".to_owned()),
                    name: Some("a".repeat(64)),
                    destination: Some("/cache".to_owned()),
                    ..Default::default()
                },
            ]),
            host_config: Some(HostConfig {
                memory: Some(64 << 20),
                nano_cpus: Some(500_000_000),
                pids_limit: Some(0),
                ..Default::default()
            }),
            ..Default::default()
        };
        let image = ImageInspect {
            config: Some(ImageConfig {
                env: strings(&["PATH=/bin"]),
                cmd: strings(&["node"]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let spec = spec(&container, Some(&image));
        let expected = ImageSpec::new("node:22");
        assert_eq!(spec.workload, Workload::Image(expected));
        assert_eq!(spec.env.keys().collect::<Vec<_>>(), ["MODE", "PORT"]);
        assert_eq!(spec.env.get("MODE").map(String::as_str), Some("a=b"));
        assert_eq!(spec.port.map(NonZeroU16::get), Some(8080));
        let data = VolumeSpec {
            source: VolumeSource::Named("data".to_owned()),
            target: "/data".to_owned(),
            read_only: false,
        };
        assert_eq!(spec.volumes, [data]);
        assert_eq!(spec.resources.cpu_millis.map(NonZeroU32::get), Some(500));
        assert_eq!((spec.resources.memory, spec.resources.pids), (Some(ByteSize(64 << 20)), None));
    }

    #[test]
    fn only_tcp_ports_count_and_the_lowest_comes_first() {
        let ports = ["8080/tcp", "53/udp", "80/tcp", "x"].map(str::to_owned).to_vec();
        assert_eq!(tcp_ports(Some(&ports)).iter().map(|port| port.get()).collect::<Vec<_>>(), [80, 8080]);
    }
}
