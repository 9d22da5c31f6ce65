//! The first success of an image's health check, found early.
//!
//! An engine runs a check for the first time after its interval, 30 s by default, and before API 1.44 it cannot be told
//! to begin sooner. Until such an engine has a verdict of its own the check is run here, the way the engine runs it, and
//! its first success is written into what the engine says. A failure says nothing: the app may still be booting.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use nd_supervise::TaskSet;
use parking_lot::Mutex;

use crate::body::START_INTERVAL;
use crate::engine::ApiVersion;
use crate::exec;
use crate::find::{self, Found};
use crate::observed;
use crate::recent::Recent;
use crate::runtime::Shared;

/// How long one run of a check may take when the image does not say (Dockerfile reference, `HEALTHCHECK --timeout`).
const TIMEOUT: Duration = Duration::from_secs(30);

/// The shell of `HEALTHCHECK CMD command` when the image names none.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Checks that run here.
#[derive(Debug)]
pub(crate) struct FirstChecks {
    tasks: TaskSet,
    known: Mutex<Recent<FirstCheck>>,
}

/// What is known of one run of a container.
#[derive(Debug)]
struct FirstCheck {
    /// When the container started, in the engine's words.
    started: String,
    passed: bool,
}

impl Default for FirstChecks {
    fn default() -> Self {
        Self { tasks: TaskSet::new("docker health checks"), known: Mutex::default() }
    }
}

/// A check as it is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    container: String,
    started: String,
    argv: Vec<String>,
    timeout: Duration,
}

/// Says that the container is healthy when its check has passed here already, and sees to it that it is run.
pub(crate) async fn complete(shared: &Arc<Shared>, found: &mut Found) {
    let Some(check) = awaited(&found.id, &found.inspected) else { return };
    if shared.engine.session().await.is_ok_and(|session| session.api >= ApiVersion::START_INTERVAL) {
        return;
    }
    let mut known = shared.first_checks.known.lock();
    match known.get(&check.container).filter(|known| known.started == check.started) {
        Some(known) if known.passed => {
            let health = found.inspected.state.as_mut().and_then(|state| state.health.as_mut());
            if let Some(health) = health {
                health.status = Some(HealthStatusEnum::HEALTHY);
            }
        }
        Some(_) => {}
        None => {
            let first = FirstCheck { started: check.started.clone(), passed: false };
            known.set(&check.container, first);
            shared.first_checks.tasks.spawn("first check", run(Arc::downgrade(shared), check));
        }
    }
}

/// The check of a container whose engine has no verdict yet.
fn awaited(container: &str, inspected: &ContainerInspectResponse) -> Option<Check> {
    let state = inspected.state.as_ref().filter(|state| state.running == Some(true))?;
    let config = inspected.config.as_ref()?;
    let healthcheck = config.healthcheck.as_ref();
    let starting = state.health.as_ref()?.status == Some(HealthStatusEnum::STARTING);
    if !starting || !observed::declares(healthcheck) {
        return None;
    }
    let (kind, command) = healthcheck?.test.as_ref()?.split_first()?;
    let argv = match kind.as_str() {
        "CMD" => command.to_vec(),
        "CMD-SHELL" => {
            let usual = || SHELL.map(str::to_owned).to_vec();
            let shell = config.shell.clone().filter(|shell| !shell.is_empty()).unwrap_or_else(usual);
            shell.into_iter().chain(command.iter().cloned()).collect()
        }
        _ => return None,
    };
    let timeout = healthcheck?.timeout.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
    Some(Check {
        container: container.to_owned(),
        started: state.started_at.clone()?,
        argv,
        timeout: timeout.map_or(TIMEOUT, Duration::from_nanos),
    })
}

/// Runs a check until it passes, until the engine has a verdict of its own, or until that run of the container is over.
async fn run(shared: Weak<Shared>, check: Check) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let outcome = exec::run_in(&shared, &check.container, &check.argv, check.timeout).await;
        match outcome {
            Ok(outcome) if outcome.exit.is_success() => {
                let passed = FirstCheck { started: check.started, passed: true };
                return shared.first_checks.known.lock().set(&check.container, passed);
            }
            Ok(outcome) => {
                tracing::trace!(container = check.container, exit = %outcome.exit, "a first health check failed");
            }
            Err(error) => {
                tracing::debug!(container = check.container, %error, "a first health check could not be run");
            }
        }
        let found = find::inspect(&shared, &check.container).await;
        let goes_on = found.is_ok_and(|found| {
            found.is_some_and(|found| awaited(&found.id, &found.inspected).as_ref() == Some(&check))
        });
        if !goes_on {
            // Whoever looks next begins anew if there is still something to find out.
            return shared.first_checks.known.lock().forget(&check.container);
        }
        drop(shared);
        tokio::time::sleep(START_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, Health, HealthConfig};

    use super::*;

    fn container(
        status: HealthStatusEnum,
        test: &[&str],
        shell: Option<&[&str]>,
    ) -> ContainerInspectResponse {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        ContainerInspectResponse {
            state: Some(ContainerState {
                running: Some(true),
                started_at: Some("2026-11-21T04:58:06Z".to_owned()),
                health: Some(Health { status: Some(status), ..Default::default() }),
                ..Default::default()
            }),
            config: Some(ContainerConfig {
                healthcheck: Some(HealthConfig { test: Some(words(test)), ..Default::default() }),
                shell: shell.map(words),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn argv(status: HealthStatusEnum, test: &[&str], shell: Option<&[&str]>) -> Option<String> {
        awaited("c1", &container(status, test, shell)).map(|check| check.argv.join(" "))
    }

    #[test]
    fn a_check_is_run_as_the_engine_runs_it() {
        use HealthStatusEnum::STARTING;
        assert_eq!(argv(STARTING, &["CMD", "/check", "-q"], None).as_deref(), Some("/check -q"));
        let shell = ["CMD-SHELL", "curl -f localhost || exit 1"];
        assert_eq!(argv(STARTING, &shell, None).as_deref(), Some("/bin/sh -c curl -f localhost || exit 1"));
        assert_eq!(
            argv(STARTING, &shell, Some(&["/bin/ash", "-ec"])).as_deref(),
            Some("/bin/ash -ec curl -f localhost || exit 1")
        );
    }

    #[test]
    fn where_the_engine_has_a_verdict_or_no_check_nothing_is_run() {
        assert_eq!(argv(HealthStatusEnum::UNHEALTHY, &["CMD", "/check"], None), None);
        assert_eq!(argv(HealthStatusEnum::HEALTHY, &["CMD", "/check"], None), None);
        assert_eq!(argv(HealthStatusEnum::STARTING, &["NONE"], None), None);
        assert_eq!(awaited("c1", &ContainerInspectResponse::default()), None);
    }
}
