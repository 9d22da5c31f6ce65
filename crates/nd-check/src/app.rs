//! Apps of the daemon, and the workers inside it.

use std::time::Duration;

use nd_api::flat::Status;
use nd_api::v1::{
    AppView, DaemonView, DesiredState, InstanceState, InstanceView, MemoryView, Phase, WorkerState,
    WorkerView,
};
use nd_client::{Client, ClientError};
use nd_types::AppName;

use crate::finding::{Finding, Health, Kind, Usage, millis_since};

/// How long a restart may take before the round goes on; the daemon goes on with it whatever happens here.
const RESTART: Duration = Duration::from_secs(90);

/// Looks at one app. `Ok(None)`: the daemon has none of this name.
pub(crate) async fn look(client: &Client, app: &AppName) -> Result<Option<Finding>, ClientError> {
    match client.app(app).await {
        Ok(view) => Ok(Some(finding(&view))),
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Has the daemon replace every instance of an app by a fresh one. It counts restarts anew then.
pub(crate) async fn restart(client: &Client, app: &AppName) -> Result<(), ClientError> {
    client.restart(app, RESTART).await.map(drop)
}

/// The daemon itself, then its workers.
pub(crate) async fn workers(client: &Client) -> Result<Vec<Finding>, ClientError> {
    let mut findings = vec![daemon(&client.daemon().await?)];
    findings.extend(client.workers().await?.items.iter().map(worker));
    Ok(findings)
}

fn finding(view: &AppView) -> Finding {
    let (health, state) = health(view);
    let mut finding = Finding::new(Kind::App, view.name.as_str(), health, state);
    finding.reason = view.reason.clone().or_else(|| view.url.clone());
    finding.uptime_ms = view.uptime_ms;
    finding.restarts = Some(view.restarts);
    finding.cpu_percent = view.cpu.map(|cpu| cpu.percent);
    finding.memory =
        view.memory.map(|MemoryView { used_bytes, limit_bytes }| Usage { used_bytes, limit_bytes });
    finding.ports = view.port.iter().map(ToString::to_string).collect();
    // What is kept for a rollback alone is not meant to run.
    let is_current = |unit: &&InstanceView| {
        unit.state != InstanceState::Stopped || view.release.as_ref() == Some(&unit.release)
    };
    finding.parts = view.units.iter().filter(is_current).map(instance).collect();
    finding
}

fn health(view: &AppView) -> (Health, String) {
    let count = format!("{}/{}", view.instances.ready, view.instances.desired);
    match (view.phase, view.status) {
        (Phase::Running, _) => (Health::Well, format!("running {count}")),
        (Phase::Degraded, Status::Error) => (Health::Failed, format!("down {count}")),
        (Phase::Degraded, _) => (Health::Degraded, format!("degraded {count}")),
        (Phase::Failed, Status::Stopped) => (Health::Idle, "ended".to_owned()),
        (Phase::Failed, _) if view.desired_state == DesiredState::Stopped => {
            (Health::Idle, "stopped".to_owned())
        }
        (Phase::Failed, _) => (Health::Failed, format!("failed {count}")),
        (Phase::Stopped, _) => (Health::Idle, "stopped".to_owned()),
        (Phase::Sleeping, _) => (Health::Idle, "sleeping".to_owned()),
        (phase, _) => (Health::Busy, phase.to_string().replace('_', " ")),
    }
}

fn instance(unit: &InstanceView) -> Finding {
    let health = match unit.state {
        InstanceState::Ready => Health::Well,
        InstanceState::Stopped | InstanceState::Gone => Health::Idle,
        InstanceState::Unhealthy | InstanceState::Crashed => Health::Failed,
        _ => Health::Busy,
    };
    let runs = matches!(health, Health::Well | Health::Busy);
    let mut finding = Finding::new(Kind::Instance, unit.id.as_str(), health, unit.state.to_string());
    finding.reason = unit.exit.filter(|_| !runs).map(|exit| exit.to_string());
    finding.uptime_ms = unit.since.filter(|_| runs).and_then(millis_since);
    finding.restarts = Some(unit.restarts);
    finding.pid = unit.pid;
    finding.ports = unit.address.iter().cloned().collect();
    finding
}

fn daemon(view: &DaemonView) -> Finding {
    // What it is unwell of is a worker, which counts by itself, or one of its notes.
    let health = if view.status == "ok" { Health::Well } else { Health::Busy };
    let mut finding = Finding::new(Kind::Worker, "nextdeployd", health, view.status.as_str());
    finding.reason = (!view.notes.is_empty()).then(|| view.notes.join("; "));
    finding.uptime_ms = Some(view.uptime_ms);
    finding.pid = Some(view.pid);
    finding.ports = [&view.listen, &view.http].into_iter().flatten().cloned().collect();
    finding
}

fn worker(view: &WorkerView) -> Finding {
    let (health, state) = match view.state {
        WorkerState::Pending => (Health::Busy, "pending"),
        WorkerState::Running => (Health::Well, "running"),
        WorkerState::Backoff => (Health::Degraded, "backoff"),
        WorkerState::Quarantined => (Health::Failed, "quarantined"),
        WorkerState::Done => (Health::Idle, "done"),
    };
    let mut finding = Finding::new(Kind::Worker, view.name.as_str(), health, state);
    finding.reason.clone_from(&view.last_failure);
    finding.restarts = Some(view.restarts);
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Finding {
        let mut app = serde_json::json!({"name": "shop", "phase": "running", "status": "running",
            "desired_state": "running", "policy": "always", "instances": {"ready": 1, "desired": 2},
            "runtime": "process", "restarts": 3, "restarts_24h": 0, "crashes": 0,
            "updated_at": "2026-01-01T00:00:00Z"});
        let more: serde_json::Value = serde_json::from_str(text).unwrap();
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        finding(&serde_json::from_value(app).unwrap())
    }

    #[test]
    fn an_app_is_failed_when_it_is_wanted_and_does_not_serve() {
        for (text, health, state) in [
            (r#"{"phase":"running"}"#, Health::Well, "running 1/2"),
            (r#"{"phase":"degraded","status":"running"}"#, Health::Degraded, "degraded 1/2"),
            (r#"{"phase":"degraded","status":"error"}"#, Health::Failed, "down 1/2"),
            (r#"{"phase":"failed","status":"error"}"#, Health::Failed, "failed 1/2"),
            (r#"{"phase":"failed","status":"stopped"}"#, Health::Idle, "ended"),
            (r#"{"phase":"stopped","desired_state":"stopped"}"#, Health::Idle, "stopped"),
            (r#"{"phase":"sleeping","status":"stopped"}"#, Health::Idle, "sleeping"),
            (r#"{"phase":"rolling_back"}"#, Health::Busy, "rolling back"),
        ] {
            let found = found(text);
            assert_eq!((found.health, found.state.as_str()), (health, state), "{text}");
        }
    }

    #[test]
    fn instances_of_earlier_releases_are_left_out() {
        let unit = |id: &str, release: &str, state: &str| {
            format!(
                r#"{{"id":"{id}","slot":1,"release":"{release}","runtime":"process","state":"{state}","restarts":0}}"#
            )
        };
        let units = [unit("shop-8f3k2a-1", "8f3k2a", "ready"), unit("shop-7c1d09-1", "7c1d09", "stopped")];
        let found = found(&format!(r#"{{"release":"8f3k2a","units":[{}]}}"#, units.join(",")));
        let names: Vec<_> = found.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["shop-8f3k2a-1"]);
    }
}
