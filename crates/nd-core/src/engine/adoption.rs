//! Units that no reconciler knows: taken over, removed, or left alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{DeploymentId, StrategyName, UnitId};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::events::Event;
use crate::model::{AppModel, Fact};
use crate::ports::{Runtime, Scope, UnitObserved, within};
use crate::records::{AppRecord, DeploymentRecord, DeploymentStatus, Record, ReleaseRecord};

/// How often units without an owner are looked for.
const PERIOD: Duration = Duration::from_secs(30);

/// How long events are kept, and how often older ones are removed.
const EVENTS_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
const COMPACT_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How long one look at a whole runtime may take.
const LOOK: Duration = Duration::from_secs(30);

/// Looks for units without an owner until `shutdown`. This is also what keeps an engine running.
pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut absent = BTreeSet::new();
    let mut compacted = None;
    loop {
        for (kind, runtime) in shared.registry.runtimes() {
            let scope = Scope::All(shared.daemon.clone());
            match within("look for units without an owner", LOOK, runtime.observe(&scope)).await {
                Ok(seen) => {
                    absent.remove(&kind);
                    for unit in seen {
                        take_in(&shared, &**runtime, unit).await;
                    }
                }
                // Said once, not every 30 seconds.
                Err(error) if absent.insert(kind) => {
                    tracing::warn!(%kind, %error, "runtime is not available");
                }
                Err(_) => {}
            }
        }
        forget_old_events(&shared, &mut compacted).await;
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Once a day, events that are older than anybody asks for go.
async fn forget_old_events(shared: &Shared, compacted: &mut Option<Mono>) {
    let now = shared.clock.mono();
    if compacted.is_some_and(|at| now.saturating_since(at) < COMPACT_EVERY) {
        return;
    }
    *compacted = Some(now);
    let before = shared.clock.wall().saturating_sub(EVENTS_KEPT).unwrap_or(nd_types::Timestamp::MIN);
    if let Err(error) = shared.store.compact(before).await {
        tracing::warn!(%error, "old events could not be removed; trying again tomorrow");
    }
}

async fn take_in(shared: &Arc<Shared>, runtime: &dyn Runtime, seen: UnitObserved) {
    let Some(id) = seen.id.clone() else { return };
    if shared.entry(id.app()).is_some() {
        return;
    }
    if shared.tombstones.lock().contains(id.app()) && seen.daemon.is_some() {
        tracing::info!(unit = %id, "removing a unit of an app that was removed");
        if let Err(error) = runtime.remove(&id).await {
            tracing::warn!(unit = %id, %error, "could not remove it; trying again later");
        }
        return;
    }
    if let Err(error) = adopt(shared, &id, seen).await {
        tracing::warn!(unit = %id, error, "could not adopt a unit; trying again later");
    }
}

/// Makes an app of a unit that no record knows: running, `always`, without limit.
async fn adopt(shared: &Arc<Shared>, id: &UnitId, seen: UnitObserved) -> Result<(), String> {
    let Some(spec) = seen.adoptable else {
        return Err(format!("{} carries our labels, but what it runs is not known", seen.name));
    };
    let now = shared.clock.wall();
    let deployment = DeploymentRecord {
        id: DeploymentId::random().map_err(|error| error.to_string())?,
        app: id.app().clone(),
        revision: 0,
        release: id.release().clone(),
        previous: None,
        status: DeploymentStatus::Succeeded,
        created_at: now,
        finished_at: Some(now),
        strategy: spec.strategy.unwrap_or(StrategyName::BlueGreen),
        strategy_reason: None,
        actor: "adoption".to_owned(),
        message: Some(format!("adopted {}", seen.name)),
        request: None,
        error: None,
        notes: Vec::new(),
        receipt: None,
    };
    let release = ReleaseRecord {
        id: id.release().clone(),
        app: id.app().clone(),
        deployment: Some(deployment.id.clone()),
        created_at: now,
        adopted: Some(seen.name),
        prepared: None,
        spec: (&*spec).into(),
    };
    let record = AppRecord { active: Some(id.release().clone()), ..AppRecord::new(id.app().clone(), now) };
    let records = vec![
        Record::Release(Box::new(release.clone())),
        Record::Deployment(Box::new(deployment.clone())),
        Record::App(Box::new(record.clone())),
    ];
    shared.claims.take(id.app(), &spec).map_err(|error| error.to_string())?;
    if let Err(error) = shared.store.append(records).await {
        shared.claims.keep(id.app(), std::iter::empty());
        return Err(error.to_string());
    }
    shared.deployments.write().insert(deployment.id.clone(), deployment.clone());
    shared.start_app(AppModel::new(record, vec![release], Some(deployment)));
    let fact =
        Fact { unit: Some(id.clone()), deployment: None, what: Event::UnitAdopted { runs: seen.runs } };
    shared.bus.publish(Some(id.app()), fact, None, now);
    Ok(())
}
