//! Asking a unit that serves how it is.

use std::net::SocketAddr;

use nd_types::UnitId;

use super::actions::{Context, runtime_of};
use super::question;
use super::shared::Shared;
use crate::model::{CheckReport, Checks};
use crate::ports::{ProbeTarget, Runtime, Scope, UnitStatus};
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
            ProbeKind::Command(argv) => {
                let judgement = question::by_command(&*runtime, spec, unit, argv).await.ok()?;
                Some(judgement.map(drop))
            }
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
    let judgement = question::at_address(shared, spec, address?, target).await;
    Some(judgement.map(drop).map_err(|unwell| unwell.words))
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
