//! The services of a Compose file, through `docker compose`, or the older `docker-compose` where that is what there is.

use std::path::Path;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::command::{CommandError, LOOK, RESTART, ask};
use crate::docker::{self, Container};
use crate::finding::{Finding, Health, Kind};

/// How long `up` may take: it may pull and build.
const UP: Duration = Duration::from_secs(600);

/// The command that reads Compose files on this machine.
#[derive(Debug, Default)]
pub(crate) struct Compose(OnceCell<&'static [&'static str]>);

const PLUGIN: &[&str] = &["docker", "compose"];
const STANDALONE: &[&str] = &["docker-compose"];

impl Compose {
    /// Looks at the services of a file. `Ok(None)`: there is no such file.
    pub(crate) async fn look(&self, file: &Path) -> Result<Option<Finding>, CommandError> {
        if !file.exists() {
            return Ok(None);
        }
        let services = self.ask(file, &["config", "--services"], LOOK).await?;
        // Both commands print the ids of containers; what else they print differs from version to version.
        let ids = self.ask(file, &["ps", "--all", "--quiet"], LOOK).await?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        let containers = if ids.is_empty() { Vec::new() } else { docker::inspect(&ids).await? };
        let parts = services.lines().map(str::trim).filter(|service| !service.is_empty());
        Ok(Some(whole(file, parts.map(|service| service_of(service, &containers)).collect())))
    }

    /// Brings up what is down. What runs and fails its probe is no business of `up`, so it is restarted.
    pub(crate) async fn restart(&self, file: &Path, found: &Finding) -> Result<(), CommandError> {
        self.ask(file, &["up", "-d"], UP).await?;
        let failed = found.parts.iter().filter(|part| part.health == Health::Failed);
        let unhealthy: Vec<&str> =
            failed.filter(|part| part.state == "unhealthy").map(|part| part.name.as_str()).collect();
        if !unhealthy.is_empty() {
            self.ask(file, &[&["restart"], unhealthy.as_slice()].concat(), RESTART).await?;
        }
        Ok(())
    }

    async fn ask(&self, file: &Path, words: &[&str], within: Duration) -> Result<String, CommandError> {
        let command = self.0.get_or_try_init(find).await?;
        let file = file.to_string_lossy();
        let [program, plugin @ ..] = command else {
            return Err(CommandError::Absent { program: "docker compose".to_owned() });
        };
        ask(program, &[plugin, &["-f", &file], words].concat(), within).await
    }
}

/// Which of the two commands there is.
async fn find() -> Result<&'static [&'static str], CommandError> {
    let plugin = ask("docker", &["compose", "version"], LOOK).await;
    if plugin.is_ok() {
        return Ok(PLUGIN);
    }
    match ask("docker-compose", &["version"], LOOK).await {
        Ok(_) => Ok(STANDALONE),
        Err(_) => Err(CommandError::Absent { program: "docker compose".to_owned() }),
    }
}

/// One service: its worst container.
fn service_of(service: &str, containers: &[Container]) -> Finding {
    let own = containers.iter().filter(|container| container.service() == Some(service));
    let mut found: Vec<(Finding, &str)> = own
        .map(|container| {
            let mut finding = container.finding(Kind::Service, service.to_owned());
            if container.is_done() {
                finding.health = Health::Idle;
            }
            (finding, container.id())
        })
        .collect();
    found.sort_by_key(|(finding, _)| finding.health);
    let count = found.len();
    let Some((mut worst, _)) = found.pop() else {
        return Finding::new(Kind::Service, service, Health::Failed, "absent").because("it has no container");
    };
    if count > 1 && worst.health.is_problem() {
        let well = found.iter().filter(|(finding, _)| finding.health == Health::Well).count();
        let reason = worst.reason.take().map(|reason| format!(": {reason}")).unwrap_or_default();
        worst.reason = Some(format!("{well} of {count} containers run{reason}"));
    }
    worst
}

fn whole(file: &Path, parts: Vec<Finding>) -> Finding {
    let worst = parts.iter().map(|part| part.health).max().unwrap_or(Health::Idle);
    let meant = parts.iter().filter(|part| part.health != Health::Idle).count();
    let well = parts.iter().filter(|part| part.health == Health::Well).count();
    let state = format!("{well}/{meant} running");
    let mut finding = Finding::new(Kind::Compose, format!("compose:{}", file.display()), worst, state);
    let failed: Vec<&str> =
        parts.iter().filter(|part| part.health.is_problem()).map(|part| part.name.as_str()).collect();
    if !failed.is_empty() {
        finding.reason = Some(format!("not as it should be: {}", failed.join(", ")));
    }
    finding.parts = parts;
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(text: &str) -> Vec<Container> {
        serde_json::from_str(text).unwrap()
    }

    const LABEL: &str = r#""Config":{"Labels":{"com.docker.compose.service":"web"}}"#;

    #[test]
    fn a_service_is_as_well_as_its_worst_container() {
        let text = format!(
            r#"[{{"Id":"a","State":{{"Status":"running"}},{LABEL}}},
                {{"Id":"b","State":{{"Status":"exited","ExitCode":1}},"HostConfig":{{"RestartPolicy":{{"Name":"always"}}}},{LABEL}}}]"#
        );
        let found = service_of("web", &containers(&text));
        assert_eq!(found.health, Health::Failed);
        assert_eq!(found.reason.as_deref(), Some("1 of 2 containers run: exit 1"));
    }

    #[test]
    fn a_service_that_did_its_work_once_is_no_failure() {
        let text = format!(r#"[{{"Id":"a","State":{{"Status":"exited","ExitCode":0}},{LABEL}}}]"#);
        let found = service_of("web", &containers(&text));
        assert_eq!(found.health, Health::Idle);
        let file = whole(Path::new("compose.yml"), vec![found]);
        assert_eq!((file.health, file.state.as_str()), (Health::Idle, "0/0 running"));
    }

    #[test]
    fn a_service_without_a_container_is_down() {
        let found = service_of("web", &[]);
        let file = whole(Path::new("compose.yml"), vec![found]);
        assert_eq!(file.health, Health::Failed);
        assert_eq!(file.reason.as_deref(), Some("not as it should be: web"));
    }
}
