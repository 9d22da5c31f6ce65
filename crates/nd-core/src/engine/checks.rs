//! Asking a unit that serves how it is.

use std::net::SocketAddr;

use nd_types::UnitId;

use super::actions::{Context, runtime_of};
use super::shared::Shared;
use crate::model::{CheckReport, Checks};
use crate::ports::{ProbeOutcome, ProbeRequest, ProbeTarget, Runtime, Scope, UnitStatus};
use crate::spec::{AppSpec, ProbeKind};

/// Asks once. What cannot be found out is left open: it is no fault of the unit.
pub(super) async fn check(shared: &Shared, context: &Context, unit: &UnitId, checks: Checks) -> CheckReport {
    let (Some(spec), Ok(runtime)) = (context.spec.as_deref(), runtime_of(shared, context)) else {
        return CheckReport::default();
    };
    let patience = spec.readiness.timeout;
    let health = async {
        if !checks.health {
            return None;
        }
        match &spec.readiness.kind {
            ProbeKind::Auto if context.prepared.healthcheck => ask_engine(shared, &*runtime, unit).await,
            ProbeKind::Auto | ProbeKind::Tcp => ask(shared, spec, ProbeTarget::Tcp, checks.address).await,
            ProbeKind::Http(http) => ask(shared, spec, ProbeTarget::Http(http.clone()), checks.address).await,
            ProbeKind::Command(argv) => ask_command(&*runtime, unit, argv, spec).await,
        }
    };
    let memory = async {
        if !checks.memory {
            return None;
        }
        tokio::time::timeout(patience, runtime.stats(unit)).await.ok()?.ok().map(|stats| stats.memory_bytes)
    };
    let (health, memory) = tokio::join!(health, memory);
    CheckReport { health, memory }
}

async fn ask(
    shared: &Shared,
    spec: &AppSpec,
    target: ProbeTarget,
    address: Option<SocketAddr>,
) -> Option<Result<(), String>> {
    let mut address = address?;
    if let Some(port) = spec.readiness.port {
        address.set_port(port.get());
    }
    let what = match &target {
        ProbeTarget::Http(http) => format!("GET :{}{}", address.port(), http.path),
        ProbeTarget::Tcp => format!("TCP :{}", address.port()),
    };
    let probe = shared.registry.probe();
    match probe.probe(&ProbeRequest { address, target, timeout: spec.readiness.timeout }).await {
        ProbeOutcome::Pass { .. } => Some(Ok(())),
        ProbeOutcome::Fail(failure) => Some(Err(format!("{what}: {failure}"))),
    }
}

async fn ask_engine(shared: &Shared, runtime: &dyn Runtime, unit: &UnitId) -> Option<Result<(), String>> {
    let scope = Scope::Unit(shared.daemon.clone(), unit.clone());
    let seen = runtime.observe(&scope).await.ok()?;
    let ours = seen.into_iter().find(|seen| seen.id.as_ref() == Some(unit))?;
    match ours.status {
        UnitStatus::Running { healthy: Some(true), .. } => Some(Ok(())),
        UnitStatus::Running { healthy: Some(false), .. } => Some(Err("HEALTHCHECK unhealthy".to_owned())),
        UnitStatus::Running { healthy: None, .. } | UnitStatus::Created | UnitStatus::Exited { .. } => None,
    }
}

async fn ask_command(
    runtime: &dyn Runtime,
    unit: &UnitId,
    argv: &[String],
    spec: &AppSpec,
) -> Option<Result<(), String>> {
    let line = argv.join(" ");
    let outcome = runtime.exec(unit, argv, spec.readiness.timeout).await.ok()?;
    if outcome.exit.is_success() {
        return Some(Ok(()));
    }
    let output = String::from_utf8_lossy(&outcome.output);
    Some(Err(format!("`{line}` ended with {}: {}", outcome.exit, output.trim())))
}
