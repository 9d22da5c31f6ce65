//! From a container to what the core sees of it.

use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthConfig,
    HealthStatusEnum,
};
use nd_core::ports::{UnitObserved, UnitStatus};
use nd_core::spec::AppSpec;
use nd_types::{ExitStatus, Timestamp, UnitId};

use crate::adopt;
use crate::labels::Labels;

/// What the core sees of a container; `network` is where our units have their address.
pub(crate) fn observed(container: &ContainerInspectResponse, network: &str) -> UnitObserved {
    let labels = labels(container);
    let config = container.config.as_ref();
    let state = container.state.clone().unwrap_or_default();
    let status = status(&state, config.and_then(|config| config.healthcheck.as_ref()));
    let running = status.is_running();
    UnitObserved {
        id: unit_id(container, &labels),
        name: name(container).to_owned(),
        ip: running.then(|| ip(container, network)).flatten(),
        port: None,
        exposed: adopt::tcp_ports(config.and_then(|config| config.exposed_ports.as_ref())),
        pid: state.pid.filter(|_| running).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        runs: labels
            .image
            .clone()
            .or_else(|| config.and_then(|config| config.image.clone()))
            .unwrap_or_default(),
        adoptable: None,
        status,
        daemon: labels.daemon,
        app: labels.app,
        release: labels.release,
    }
}

/// The same for a container that no daemon claims: `spec` is what it would take to create it again.
pub(crate) fn adoptable(container: &ContainerInspectResponse, network: &str, spec: AppSpec) -> UnitObserved {
    UnitObserved { adoptable: Some(Box::new(spec)), ..observed(container, network) }
}

/// The labels of a container.
pub(crate) fn labels(container: &ContainerInspectResponse) -> Labels {
    let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
    labels.map(Labels::read).unwrap_or_default()
}

/// The unit that a container is, if it is one.
pub(crate) fn unit_id(container: &ContainerInspectResponse, labels: &Labels) -> Option<UnitId> {
    if labels.unclaimed() {
        return adopt::unit_id(name(container), container.id.as_deref()?);
    }
    labels.unit.clone()
}

/// A container's name, without the slash that the engine puts before it.
pub(crate) fn name(container: &ContainerInspectResponse) -> &str {
    container.name.as_deref().unwrap_or_default().trim_start_matches('/')
}

/// How a container that does not run has ended. The engine calls a container killed for memory when anything in it was,
/// even where the app itself ended well.
pub(crate) fn exit_status(state: &ContainerState) -> ExitStatus {
    match state.exit_code {
        Some(code) => ExitStatus::from_engine_code(code, code != 0 && state.oom_killed == Some(true)),
        None => ExitStatus::Unknown,
    }
}

fn status(state: &ContainerState, healthcheck: Option<&HealthConfig>) -> UnitStatus {
    let started = timestamp(state.started_at.as_deref());
    let running = state.running.unwrap_or(false) && state.status != Some(Status::RESTARTING);
    match started {
        Some(since) if running => UnitStatus::Running { since, healthy: healthy(state, healthcheck) },
        // A start that failed leaves an exit code on a container that never ran.
        None => UnitStatus::Created,
        started @ Some(_) => {
            // The end of an app that ends at once can bear an earlier time than its start.
            let finished = timestamp(state.finished_at.as_deref()).max(started);
            UnitStatus::Exited { exit: exit_status(state), started, finished }
        }
    }
}

/// What the engine's own health check says of a running container; nothing before its first verdict.
fn healthy(state: &ContainerState, healthcheck: Option<&HealthConfig>) -> Option<bool> {
    match state.health.as_ref()?.status? {
        _ if !declares(healthcheck) => None,
        HealthStatusEnum::HEALTHY => Some(true),
        HealthStatusEnum::UNHEALTHY => Some(false),
        HealthStatusEnum::STARTING | HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

/// Whether a health check is declared, and not `NONE`.
pub(crate) fn declares(healthcheck: Option<&HealthConfig>) -> bool {
    let test = healthcheck.and_then(|check| check.test.as_ref());
    test.and_then(|test| test.first()).is_some_and(|first| !first.is_empty() && first != "NONE")
}

/// A time of the engine, which writes the year 1 for never.
pub(crate) fn timestamp(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse::<Timestamp>().ok()).filter(|time| time.as_second() > 0)
}

/// The container's address on `network`, or on any other network that it is on.
fn ip(container: &ContainerInspectResponse, network: &str) -> Option<IpAddr> {
    let networks = container.network_settings.as_ref()?.networks.as_ref()?;
    let address = |name: &String| networks.get(name)?.ip_address.as_deref()?.parse().ok();
    let mut names: Vec<&String> = networks.keys().collect();
    names.sort_by_key(|name| (name.as_str() != network, name.as_str()));
    names.into_iter().find_map(address)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::{ContainerConfig, EndpointSettings, Health, NetworkSettings};

    use super::*;

    fn state(status: Status) -> ContainerState {
        ContainerState {
            status: Some(status),
            running: Some(status == Status::RUNNING),
            pid: Some(4321),
            exit_code: Some(0),
            started_at: Some("2026-11-21T04:58:06.42857371Z".to_owned()),
            finished_at: Some("0001-01-01T00:00:00Z".to_owned()),
            ..Default::default()
        }
    }

    fn container(state: ContainerState) -> ContainerInspectResponse {
        let endpoint = |ip: &str| EndpointSettings { ip_address: Some(ip.to_owned()), ..Default::default() };
        let networks = HashMap::from([
            ("a-first".to_owned(), endpoint("172.17.0.9")),
            ("nextdeploy".to_owned(), endpoint("10.83.0.2")),
            ("empty".to_owned(), endpoint("")),
        ]);
        let labels = [
            ("nextdeploy.managed", "true"),
            ("nextdeploy.daemon", "d1"),
            ("nextdeploy.unit", "shop-8f3k2a-1"),
        ];
        ContainerInspectResponse {
            id: Some("71e50cd0f8df".to_owned()),
            name: Some("/shop-8f3k2a-1".to_owned()),
            state: Some(state),
            config: Some(ContainerConfig {
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                image: Some("node:22".to_owned()),
                exposed_ports: Some(vec!["3000/tcp".to_owned()]),
                ..Default::default()
            }),
            network_settings: Some(NetworkSettings { networks: Some(networks), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn a_running_unit_has_its_address_on_our_network() {
        let unit = observed(&container(state(Status::RUNNING)), "nextdeploy");
        assert_eq!(unit.id.map(|id| id.to_string()).as_deref(), Some("shop-8f3k2a-1"));
        assert_eq!(unit.ip.map(|ip| ip.to_string()).as_deref(), Some("10.83.0.2"));
        assert_eq!((unit.pid, unit.exposed.len(), unit.runs.as_str()), (Some(4321), 1, "node:22"));
        assert!(matches!(unit.status, UnitStatus::Running { healthy: None, .. }));
    }

    #[test]
    fn an_adopted_unit_elsewhere_has_the_address_it_has() {
        let unit = observed(&container(state(Status::RUNNING)), "other");
        assert_eq!(unit.ip.map(|ip| ip.to_string()).as_deref(), Some("172.17.0.9"));
    }

    #[test]
    fn a_health_check_says_nothing_before_its_first_verdict() {
        let mut inspected = container(state(Status::RUNNING));
        let test = Some(vec!["CMD".to_owned(), "/check".to_owned()]);
        inspected.config.as_mut().unwrap().healthcheck = Some(HealthConfig { test, ..Default::default() });
        let mut seen = |status| {
            let health = Health { status: Some(status), ..Default::default() };
            inspected.state.as_mut().unwrap().health = Some(health);
            match observed(&inspected, "").status {
                UnitStatus::Running { healthy, .. } => healthy,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(seen(HealthStatusEnum::STARTING), None);
        assert_eq!(seen(HealthStatusEnum::UNHEALTHY), Some(false));
        assert_eq!(seen(HealthStatusEnum::HEALTHY), Some(true));
    }

    #[test]
    fn an_ended_unit_says_how_it_ended_and_has_no_address() {
        let mut ended = state(Status::EXITED);
        ended.exit_code = Some(137);
        ended.oom_killed = Some(true);
        ended.finished_at = Some("2026-11-21T04:58:07Z".to_owned());
        let unit = observed(&container(ended), "nextdeploy");
        assert_eq!((unit.ip, unit.pid), (None, None));
        let UnitStatus::Exited { exit, started, finished } = unit.status else { panic!("not ended") };
        assert_eq!(exit, ExitStatus::OutOfMemory);
        assert!(started.is_some() && finished.is_some());
    }

    #[test]
    fn an_app_that_ended_at_once_did_not_end_before_its_start() {
        let mut ended = state(Status::EXITED);
        ended.finished_at = Some("2026-11-21T04:58:06.42Z".to_owned());
        let UnitStatus::Exited { started, finished, .. } = observed(&container(ended), "").status else {
            panic!("not ended")
        };
        assert!(started.is_some() && started == finished);
    }

    #[test]
    fn an_app_that_ended_well_was_not_killed_for_memory() {
        let mut ended = state(Status::EXITED);
        ended.oom_killed = Some(true);
        assert_eq!(exit_status(&ended), ExitStatus::Code(0));
    }

    #[test]
    fn a_failed_start_leaves_a_created_unit() {
        let mut failed = state(Status::CREATED);
        failed.exit_code = Some(127);
        failed.started_at = Some("0001-01-01T00:00:00Z".to_owned());
        assert_eq!(observed(&container(failed), "").status, UnitStatus::Created);
    }

    #[test]
    fn an_answer_without_any_field_is_a_created_unit_without_an_id() {
        let unit = observed(&ContainerInspectResponse::default(), "nextdeploy");
        assert_eq!((unit.id, unit.status), (None, UnitStatus::Created));
    }
}
