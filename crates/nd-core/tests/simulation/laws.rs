//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};

use nd_core::model::{Action, Unit, UnitAction, UnitState, Verdict};
use nd_core::records::{AppRecord, RolloutRecord, RunIntent};
use nd_core::routes::AppRoutes;
use nd_types::{Availability, ReleaseId, StrategyName, Timestamp, UnitId};

use crate::sim::Sim;

/// Holds, or says how it was broken.
pub(crate) type Law = Result<(), String>;

/// Whether each unit ran when the daemon last looked.
pub(crate) type Before = BTreeMap<UnitId, bool>;

pub(crate) fn holds(law: bool, broken: impl FnOnce() -> String) -> Law {
    if law { Ok(()) } else { Err(broken()) }
}

/// What the units did at the end of an activation.
pub(crate) fn remember(sim: &Sim) -> Before {
    sim.model.units().iter().map(|(id, unit)| (id.clone(), unit.state.is_running())).collect()
}

/// Units that served, whose end the model has just learned, and that may start again at once: they are owed a start
/// in this very activation.
pub(crate) fn owed_starts(sim: &Sim) -> BTreeSet<UnitId> {
    let (model, now) = (&sim.model, sim.world.now());
    let record = model.record();
    let plans = owned(sim);
    // A unit that must be alone waits for those of another release to end.
    let recreates = model.deployment().is_some_and(|last| last.strategy == StrategyName::Recreate);
    let others =
        |(id, unit): (&UnitId, &Unit)| record.active.as_ref() != Some(id.release()) && unit.may_run();
    let alone = recreates && model.units().iter().any(others);
    if record.run != RunIntent::Running || alone || stays_stopped(record) || sim.suspended {
        return BTreeSet::new();
    }
    let owed = |id: &UnitId, unit: &Unit| {
        let at_once = match unit.crashes.verdict() {
            Verdict::Free => true,
            Verdict::At(at) => at <= now.mono,
            Verdict::Loop { .. } | Verdict::Final => false,
        };
        sim.before.get(id) == Some(&true)
            && !plans.contains(id)
            && !model.is_mirrored(id)
            && record.active.as_ref() == Some(id.release())
            && id.slot() <= record.replicas
            && matches!(unit.state, UnitState::Crashed(_))
            && unit.is_idle()
            && unit.not_before.is_none_or(|at| at <= now.mono)
            && at_once
    };
    model.units().iter().filter(|(id, unit)| owed(id, unit)).map(|(id, _)| id.clone()).collect()
}

/// Units of the old release that the deployment under way has taken out, or is about to.
fn owned(sim: &Sim) -> BTreeSet<UnitId> {
    let rollout = sim.model.record().rollout.as_ref();
    rollout.map(|rollout| sim.model.plan_of(rollout, &sim.strategies).owned).unwrap_or_default()
}

/// Whether both releases may be in one table while a deployment of this strategy is under way.
pub(crate) fn mixes(strategy: StrategyName) -> bool {
    matches!(strategy, StrategyName::Rolling | StrategyName::Canary)
}

pub(crate) fn check_owed(owed: &BTreeSet<UnitId>, actions: &[Action]) -> Law {
    let started = |unit: &UnitId| {
        actions.iter().any(|action| matches!(action, Action::Unit(id, UnitAction::Start(_)) if id == unit))
    };
    match owed.iter().find(|unit| !started(unit)) {
        Some(unit) => {
            Err(format!("{unit} served and ended, and was not started within the activation: {actions:?}"))
        }
        None => Ok(()),
    }
}

/// What holds for actions at the moment they begin.
pub(crate) fn check_actions(sim: &Sim, actions: &[Action]) -> Law {
    let mut busy: BTreeSet<&UnitId> = BTreeSet::new();
    let mut asked: BTreeSet<(&UnitId, Timestamp)> = BTreeSet::new();
    let mut alone: BTreeSet<&str> = BTreeSet::new();
    let under_way = sim.pending.iter().map(|pending| &pending.action);
    for action in under_way.chain(actions) {
        let first = match action {
            Action::Unit(unit, _) => busy.insert(unit),
            Action::Observe { .. } => alone.insert("look"),
            Action::Measure => alone.insert("measure"),
            Action::Check { unit, since, .. } => asked.insert((unit, *since)),
            Action::Prepare(_) => alone.insert("prepare"),
            Action::Apply(_) | Action::Withdraw => alone.insert("routes"),
        };
        holds(first, || format!("{action:?} begins beside another one"))?;
    }
    for action in actions {
        match action {
            Action::Unit(unit, action) => check_unit_action(sim, unit, *action)?,
            Action::Apply(routes) => check_apply(sim, routes, actions)?,
            Action::Withdraw => {
                let wanted =
                    sim.model.record().run == RunIntent::Running && !ready_and_wanted(sim).is_empty();
                holds(!wanted, || "the routes are withdrawn although a unit could serve".to_owned())?;
            }
            Action::Prepare(release) => {
                holds(sim.model.release(release).is_some(), || {
                    format!("release {release} is prepared, and unknown")
                })?;
            }
            Action::Observe { .. } | Action::Check { .. } | Action::Measure => {}
        }
    }
    Ok(())
}

fn check_unit_action(sim: &Sim, unit: &UnitId, action: UnitAction) -> Law {
    let world = &sim.world;
    holds(sim.model.units().contains_key(unit), || format!("{action:?} of {unit}, which nobody knows"))?;
    match action {
        UnitAction::Drain => {
            holds(!world.routed().contains(unit), || format!("{unit} is drained while it is routed"))
        }
        UnitAction::Stop | UnitAction::Remove => {
            holds(!world.routed().contains(unit), || format!("{action:?} of {unit} while it is routed"))?;
            let in_flight = world.in_flight(unit);
            holds(in_flight == 0 || world.meddled, || {
                format!("{action:?} of {unit} with {in_flight} requests in flight")
            })?;
            holds(action == UnitAction::Stop || !world.runs(unit) || world.meddled, || {
                format!("{unit} is removed while it runs")
            })
        }
        UnitAction::Create => {
            let prepared =
                sim.model.release(unit.release()).is_some_and(|release| release.prepared.is_some());
            holds(prepared, || format!("{unit} is created before its release was prepared"))
        }
        UnitAction::Start(_) | UnitAction::WaitReady { .. } => Ok(()),
    }
}

fn check_apply(sim: &Sim, routes: &AppRoutes, actions: &[Action]) -> Law {
    let model = &sim.model;
    for backend in &routes.service.backends {
        let unit = model.units().get(&backend.unit);
        let ready =
            unit.is_some_and(|unit| unit.state == UnitState::Ready && unit.address == Some(backend.address));
        holds(ready, || {
            format!("requests are routed to {}, which is not known to be ready there", backend.unit)
        })?;
        let machine =
            sim.world.units.get(&backend.unit).filter(|machine| machine.runs() && !sim.world.meddled);
        let there = machine.is_none_or(|machine| machine.address == backend.address);
        holds(there, || format!("requests for {} go to {}", backend.unit, backend.address))?;
    }
    for unit in &routes.units {
        let leaving = |action: &Action| match action {
            Action::Unit(id, UnitAction::Drain | UnitAction::Stop | UnitAction::Remove) => id == unit,
            _ => false,
        };
        let leaves = sim.pending.iter().map(|pending| &pending.action).chain(actions).any(leaving);
        holds(!leaves, || format!("{unit} is routed while it is being brought down"))?;
    }
    let record = model.record();
    let rollout = record.rollout.as_ref();
    let mixed = releases(routes.units.iter());
    let sides = [record.active.as_ref(), rollout.map(|rollout| &rollout.release)];
    let may_mix = rollout.is_some_and(|rollout| mixes(rollout.strategy));
    let known = mixed.iter().all(|release| sides.contains(&Some(*release)));
    holds(mixed.len() <= 1 || (may_mix && known), || format!("one table is to lead to releases {mixed:?}"))?;
    let ready = ready_and_wanted(sim);
    let restarting = (record.restart_before.is_some() && ready.len() <= 1) || sim.suspended;
    let holding = record.rollout.as_ref().is_some_and(|rollout| rollout.strategy == StrategyName::Recreate);
    if routes.units.is_empty()
        && record.run == RunIntent::Running
        && !ready.is_empty()
        && !restarting
        && !holding
    {
        return Err(format!("the table is emptied although {ready:?} could serve"));
    }
    let refuses = !matches!(routes.service.availability, Availability::Serving);
    holds(!refuses || routes.units.is_empty(), || "a table refuses requests and routes them".to_owned())
}

/// Units of the active release that are wanted and known to be ready.
fn ready_and_wanted(sim: &Sim) -> Vec<UnitId> {
    let (model, record) = (&sim.model, sim.model.record());
    let wanted = |id: &UnitId| {
        let active = record.active.as_ref() == Some(id.release()) && id.slot() <= record.replicas;
        active && !stays_stopped(record)
    };
    let owned = owned(sim);
    let wanted = |id: &UnitId| wanted(id) && !owned.contains(id);
    let ready =
        model.units().iter().filter(|(id, unit)| wanted(id) && unit.can_serve() && unit.due.is_none());
    ready.map(|(id, _)| id.clone()).collect()
}

/// Whether the user stopped the app before the deployment under way began: then the release before has nothing to do.
fn stays_stopped(record: &AppRecord) -> bool {
    let waits = |rollout: &RolloutRecord| record.active.as_ref() != Some(&rollout.release);
    record.rollout.as_ref().is_some_and(|rollout| rollout.from_stopped && waits(rollout))
}

/// What holds for the world at any moment.
pub(crate) fn check_world(sim: &Sim) -> Law {
    let routed = sim.world.routed();
    let served = releases(routed.iter());
    let mut deployments = sim.world.stored.deployments.values();
    let mixed = deployments.any(|deployment| mixes(deployment.strategy));
    holds(served.len() <= 1 + usize::from(mixed), || format!("one table leads to releases {served:?}"))?;
    if let Some(table) = sim.world.table.as_ref().filter(|_| !mixed) {
        let foreign = served.iter().any(|release| **release != table.service.release);
        holds(!foreign, || format!("the table of release {} leads to {served:?}", table.service.release))?;
    }
    let deployments = sim.world.stored.deployments.values();
    let only_recreate =
        deployments.into_iter().all(|deployment| deployment.strategy == StrategyName::Recreate);
    if only_recreate && !sim.world.meddled {
        let running = releases(sim.world.running());
        holds(running.len() <= 1, || format!("releases {running:?} run at the same time"))?;
    }
    let record = sim.model.record();
    holds(record.revision >= sim.acknowledged, || {
        format!("wish {} was acknowledged and is forgotten", sim.acknowledged)
    })
}

/// What the store holds is what the model knows, so that a new daemon goes on from there.
pub(crate) fn check_stored(sim: &Sim) -> Law {
    let (model, stored) = (&sim.model, &sim.world.stored);
    if sim.world.disk_full || !sim.is_stored() || model.record().revision == 0 {
        return Ok(());
    }
    let same_app = stored.app.as_ref() == Some(model.record());
    holds(same_app, || format!("stored: {:?}\nknown: {:?}", stored.app, model.record()))?;
    if let Some(known) = model.deployment() {
        let last = stored.deployments.get(&known.id);
        holds(last == Some(known), || format!("stored: {last:?}\nknown: {known:?}"))?;
    }
    for (id, release) in &stored.releases {
        let same = model.release(id).is_some_and(|known| known.record() == release);
        holds(same, || format!("release {id} is stored and not known so"))?;
    }
    let record = model.record();
    let wanted = record.active.iter().chain(&record.kept).filter(|_| record.run != RunIntent::Removed);
    for id in wanted {
        holds(stored.releases.contains_key(id), || format!("release {id} is wanted and not stored"))?;
    }
    Ok(())
}

fn releases<'a>(units: impl Iterator<Item = &'a UnitId>) -> BTreeSet<&'a ReleaseId> {
    units.map(UnitId::release).collect()
}
