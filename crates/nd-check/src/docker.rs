//! Containers, through the `docker` command: it knows the contexts, hosts and certificates that its user set up.

use std::collections::BTreeMap;

use nd_types::Timestamp;
use serde::Deserialize;

use crate::command::{CommandError, LOOK, RESTART, ask};
use crate::finding::{Finding, Health, Kind, Usage, millis_since};

/// The label by which Compose says of which service a container is.
const SERVICE: &str = "com.docker.compose.service";

/// The label of a container of `compose run`, which is of no service.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// What `docker inspect` says of a container, as far as it is read. Every field may be missing: its shape is that of
/// the engine's version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Container {
    id: String,
    restart_count: u64,
    state: State,
    host_config: HostConfig,
    config: Config,
    network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    status: String,
    pid: u32,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: String,
    started_at: Option<Timestamp>,
    health: Option<HealthState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthState {
    status: String,
    failing_streak: u64,
    log: Option<Vec<Probe>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Probe {
    output: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    restart_policy: RestartPolicy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    host_ip: String,
    host_port: String,
}

/// Looks at one container. `Ok(None)`: the engine has none of this name.
pub(crate) async fn look(name: &str) -> Result<Option<Finding>, CommandError> {
    match inspect(&[name]).await {
        Ok(containers) => {
            Ok(containers.first().map(|container| container.finding(Kind::Docker, format!("docker:{name}"))))
        }
        Err(error) if error.says(&["no such container", "no such object"]) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds what a container uses, which takes the engine a second or two. One that ended meanwhile uses nothing.
pub(crate) async fn measure(name: &str, finding: &mut Finding) {
    let words = ["stats", "--no-stream", "--format={{json .}}", "--", name];
    let Ok(text) = ask("docker", &words, LOOK).await else { return };
    let Some(line) = text.lines().next() else { return };
    if let Ok(stats) = serde_json::from_str::<Stats>(line) {
        finding.cpu_percent = stats.cpu.trim_end_matches('%').parse().ok();
        finding.memory = stats.memory();
    }
}

/// Has the engine restart a container.
pub(crate) async fn restart(name: &str) -> Result<(), CommandError> {
    ask("docker", &["restart", "--", name], RESTART).await.map(drop)
}

/// All about some containers.
pub(crate) async fn inspect(names: &[&str]) -> Result<Vec<Container>, CommandError> {
    let words = [&["inspect", "--type=container", "--"], names].concat();
    let text = ask("docker", &words, LOOK).await?;
    serde_json::from_str(&text).map_err(|error| CommandError::unexpected("docker inspect", &error))
}

impl Container {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The service of Compose that it belongs to.
    pub(crate) fn service(&self) -> Option<&str> {
        let labels = self.config.labels.as_ref()?;
        if labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        labels.get(SERVICE).map(String::as_str)
    }

    /// Whether it has done its work and is not meant to run again.
    pub(crate) fn is_done(&self) -> bool {
        let once = matches!(self.host_config.restart_policy.name.as_str(), "" | "no" | "on-failure");
        self.state.status == "exited" && self.state.exit_code == 0 && once
    }

    /// How it stands.
    pub(crate) fn finding(&self, kind: Kind, name: String) -> Finding {
        let state = &self.state;
        let runs = matches!(state.status.as_str(), "running" | "paused");
        // The engine leaves the last health of a container that has ended standing.
        let probed = state.health.as_ref().filter(|_| runs).map(|health| health.status.as_str());
        let (health, word) = match (state.status.as_str(), probed) {
            ("running", Some("unhealthy")) => (Health::Failed, "unhealthy"),
            ("running", Some("starting")) => (Health::Busy, "starting"),
            ("running", _) => (Health::Well, "running"),
            // Whoever paused it wants it so.
            ("paused", _) => (Health::Degraded, "paused"),
            (word, _) => (Health::Failed, word),
        };
        let mut finding = Finding::new(kind, name, health, word);
        finding.reason = if health == Health::Failed { self.reason() } else { None };
        finding.uptime_ms = state.started_at.filter(|_| runs).and_then(millis_since);
        finding.restarts = Some(self.restart_count);
        finding.pid = (runs && state.pid > 0).then_some(state.pid);
        finding.ports = self.ports();
        finding
    }

    fn reason(&self) -> Option<String> {
        let state = &self.state;
        match state.status.as_str() {
            "running" => {
                let health = state.health.as_ref()?;
                let said = health.log.as_ref().and_then(|log| log.last()).map(|probe| probe.output.trim());
                let said = said.and_then(|said| said.lines().next()).filter(|said| !said.is_empty());
                let streak = format!("{} health checks failed", health.failing_streak);
                Some(said.map_or(streak.clone(), |said| format!("{streak}: {said}")))
            }
            "created" if state.error.is_empty() => Some("it was never started".to_owned()),
            "removing" => None,
            _ => {
                let mut reason = format!("exit {}", state.exit_code);
                if state.oom_killed {
                    reason.push_str(", out of memory");
                }
                if !state.error.is_empty() {
                    reason.push_str(": ");
                    reason.push_str(&state.error);
                }
                Some(reason)
            }
        }
    }

    /// `0.0.0.0:80->8080/tcp`, or `8080/tcp` for one that is not published.
    fn ports(&self) -> Vec<String> {
        let mut ports = Vec::new();
        for (inside, bindings) in self.network_settings.ports.iter().flatten() {
            let outside: Vec<&Binding> =
                bindings.iter().flatten().filter(|binding| binding.host_ip != "::").collect();
            if outside.is_empty() {
                ports.push(inside.clone());
            }
            ports.extend(
                outside.iter().map(|binding| format!("{}:{}->{inside}", binding.host_ip, binding.host_port)),
            );
        }
        ports
    }
}

/// One line of `docker stats`.
#[derive(Debug, Deserialize)]
struct Stats {
    #[serde(rename = "CPUPerc")]
    cpu: String,
    #[serde(rename = "MemUsage")]
    memory: String,
}

impl Stats {
    /// Of `1.2MiB / 7.6GiB`.
    fn memory(&self) -> Option<Usage> {
        let (used, limit) = self.memory.split_once(" / ")?;
        let limit = bytes(limit).filter(|limit| *limit > 0);
        Some(Usage { used_bytes: bytes(used)?, limit_bytes: limit })
    }
}

/// Of `1.2MiB`.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(end)?;
    let scale: f64 = match unit.trim() {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest number there is"
    )]
    number.trim().parse::<f64>().ok().map(|number| (number * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(state: &str) -> Finding {
        let text = format!(r#"{{"Id":"a1","RestartCount":2,"State":{state}}}"#);
        let container: Container = serde_json::from_str(&text).unwrap();
        container.finding(Kind::Docker, "docker:db".to_owned())
    }

    #[test]
    fn a_container_is_well_when_it_runs_and_its_probe_does_not_fail() {
        for (state, health, word) in [
            (r#"{"Status":"running"}"#, Health::Well, "running"),
            (r#"{"Status":"running","Health":{"Status":"healthy"}}"#, Health::Well, "running"),
            (r#"{"Status":"running","Health":{"Status":"starting"}}"#, Health::Busy, "starting"),
            (r#"{"Status":"running","Health":{"Status":"unhealthy"}}"#, Health::Failed, "unhealthy"),
            (r#"{"Status":"paused"}"#, Health::Degraded, "paused"),
            (r#"{"Status":"restarting","ExitCode":1}"#, Health::Failed, "restarting"),
            (r#"{"Status":"created"}"#, Health::Failed, "created"),
            (r#"{"Status":"exited","Health":{"Status":"healthy"}}"#, Health::Failed, "exited"),
        ] {
            let found = finding(state);
            assert_eq!((found.health, found.state.as_str()), (health, word), "{state}");
        }
    }

    #[test]
    fn the_reason_says_how_a_container_ended() {
        let reason = |state: &str| finding(state).reason.unwrap();
        assert_eq!(
            reason(r#"{"Status":"exited","ExitCode":137,"OOMKilled":true}"#),
            "exit 137, out of memory"
        );
        assert_eq!(
            reason(r#"{"Status":"created","ExitCode":127,"Error":"no such file"}"#),
            "exit 127: no such file"
        );
        let probe = r#"{"Status":"running","Health":{"Status":"unhealthy","FailingStreak":4,
            "Log":[{"Output":"old"},{"Output":"connection refused\nmore"}]}}"#;
        assert_eq!(reason(probe), "4 health checks failed: connection refused");
    }

    #[test]
    fn ports_are_those_outside_and_inside() {
        let text = r#"{"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},
            {"HostIp":"::","HostPort":"8080"}],"9000/tcp":null}}}"#;
        let container: Container = serde_json::from_str(text).unwrap();
        assert_eq!(container.ports(), ["0.0.0.0:8080->80/tcp", "9000/tcp"]);
    }

    #[test]
    fn sizes_are_read_as_docker_writes_them() {
        assert_eq!(bytes("1.5KiB"), Some(1536));
        assert_eq!(bytes("0B"), Some(0));
        assert_eq!(bytes("2GiB"), Some(2 << 30));
        assert_eq!(bytes("--"), None);
        let stats = Stats { cpu: "0.1%".to_owned(), memory: "1KiB / 2KiB".to_owned() };
        assert_eq!(stats.memory(), Some(Usage { used_bytes: 1024, limit_bytes: Some(2048) }));
    }
}
