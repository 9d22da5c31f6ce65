//! Stopping and removing units: first asked, then killed; first read out, then removed.

use std::time::Duration;

use nd_types::UnitId;

use super::actions::{Context, UNSEEN, runtime_of};
use super::shared::Shared;
use crate::model::StopReport;
use crate::ports::{PortResult, Runtime, Signal, within};

/// How long one signal may take to be sent.
const SIGNAL: Duration = Duration::from_secs(15);

/// How long a killed unit may take to be gone; longer means that the kernel holds it.
const AFTER_KILL: Duration = Duration::from_secs(15);

/// Asks the unit to stop and kills it when its grace is over.
pub(super) async fn stop(shared: &Shared, context: &Context, unit: &UnitId) -> PortResult<StopReport> {
    let runtime = match runtime_of(shared, context) {
        Ok(runtime) => runtime,
        Err(error) if context.spec.is_some() => return Err(error),
        // A unit of a release nobody knows any more: whatever runtime has it may end it.
        Err(_) => return kill_unknown(shared, unit).await,
    };
    let stop = context.spec.as_ref().map(|spec| spec.stop.clone()).unwrap_or_default();
    within("stop", SIGNAL, runtime.signal(unit, Signal::Stop(stop.signal))).await?;
    if let Ok(exit) = tokio::time::timeout(stop.grace, runtime.wait(unit)).await {
        return exit.map(|exit| StopReport { exit, killed: false });
    }
    kill(&*runtime, unit).await
}

async fn kill(runtime: &dyn Runtime, unit: &UnitId) -> PortResult<StopReport> {
    within("kill", SIGNAL, runtime.signal(unit, Signal::Kill)).await?;
    let exit = within("wait for the killed unit", AFTER_KILL, runtime.wait(unit)).await?;
    Ok(StopReport { exit, killed: true })
}

async fn kill_unknown(shared: &Shared, unit: &UnitId) -> PortResult<StopReport> {
    for (_, runtime) in shared.registry.runtimes() {
        if kill(&**runtime, unit).await.is_ok() {
            return Ok(StopReport { exit: UNSEEN, killed: true });
        }
    }
    Ok(StopReport { exit: UNSEEN, killed: false })
}

/// Removes the unit after its output has been read out.
pub(super) async fn remove(shared: &Shared, context: &Context, unit: &UnitId) -> PortResult<()> {
    if let Some(collector) = &shared.collector {
        collector.read_out(unit).await;
    }
    let result = match runtime_of(shared, context) {
        Ok(runtime) => runtime.remove(unit).await,
        Err(error) if context.spec.is_some() => Err(error),
        Err(_) => remove_unknown(shared, unit).await,
    };
    if let (Ok(()), Some(collector)) = (&result, &shared.collector) {
        collector.forget(unit);
    }
    result
}

async fn remove_unknown(shared: &Shared, unit: &UnitId) -> PortResult<()> {
    for (_, runtime) in shared.registry.runtimes() {
        runtime.remove(unit).await?;
    }
    Ok(())
}
