//! Asking the units that serve whether they still do: one that does not is taken out of the pool, then started anew.

use std::collections::BTreeSet;
use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{ReleaseId, Timestamp, UnitId};

use super::action::{Action, CheckReport, Checks};
use super::decide::Decision;
use super::unit::UnitState;
use super::{AppModel, Now};
use crate::diagnosis::Diagnosis;
use crate::events::{Event, RestartReason};
use crate::spec::{AppSpec, ProbeKind, RestartPolicy};

/// How often the memory of a unit with `max_memory` is looked at, as PM2 does three times as seldom.
const MEMORY_EVERY: Duration = Duration::from_secs(10);

/// Checks of all apps fall on the same moments, so that an idle daemon hardly wakes.
const TICK: Duration = Duration::from_secs(1);

/// What a unit that serves has answered lately. It begins anew whenever the unit becomes ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    next_health: Option<Mono>,
    next_memory: Option<Mono>,
    asking: bool,
    /// Failures in a row.
    failures: u16,
    out: bool,
}

impl Watch {
    /// Whether it has failed so often that no request is sent to it until it answers well again.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.out
    }
}

impl AppModel {
    /// Asks every unit that serves and whose turn it is: of the active release, and of one that takes over beside it.
    pub(super) fn watch(&mut self, now: Now, decision: &mut Decision) {
        if !self.runs_active() || self.suspended {
            return;
        }
        let comes = self.record.rollout.as_ref().map(|rollout| rollout.release.clone());
        let comes = comes.filter(|release| self.is_advancing(release));
        for release in self.record.active.clone().into_iter().chain(comes).collect::<BTreeSet<_>>() {
            self.watch_release(&release, now, decision);
        }
    }

    fn watch_release(&mut self, release: &ReleaseId, now: Now, decision: &mut Decision) {
        let Some(spec) = self.spec_of(release).cloned() else { return };
        let healthcheck = self.asks_engine(release);
        let active = self.record.active.as_ref() == Some(release);
        let slots = self.kept_slots();
        let served = self.served.clone();
        for (id, unit) in self.units.iter_mut().filter(|(id, _)| id.release() == release) {
            let serves =
                if active { id.slot() <= slots } else { served.as_ref().is_some_and(|s| s.names(id)) };
            if !serves || unit.state != UnitState::Ready || !unit.is_idle() || unit.watch.asking {
                continue;
            }
            let asks_health = match spec.readiness.kind {
                ProbeKind::Command(_) => true,
                ProbeKind::Auto if healthcheck => true,
                ProbeKind::Auto | ProbeKind::Http(_) | ProbeKind::Tcp => unit.address.is_some(),
            };
            let mut due = |next: &mut Option<Mono>, every: Duration| {
                let next = *next.get_or_insert_with(|| tick_after(now.mono + every));
                if next > now.mono {
                    decision.wake(next);
                }
                next <= now.mono
            };
            let health = asks_health && due(&mut unit.watch.next_health, spec.readiness.interval);
            let memory = spec.restart.max_memory.is_some() && due(&mut unit.watch.next_memory, MEMORY_EVERY);
            if health || memory {
                unit.watch.asking = true;
                let checks = Checks { health, memory, address: unit.address };
                decision.actions.push(Action::Check { unit: id.clone(), since: unit.since, checks });
            }
        }
    }

    /// Takes in what a unit answered that has been ready since `since`.
    pub(super) fn checked(&mut self, id: &UnitId, since: Timestamp, report: CheckReport, now: Now) {
        let Some(spec) = self.spec_of(id.release()).cloned() else { return };
        let known = self.units.get_mut(id).filter(|unit| unit.since == since);
        let Some(unit) = known.filter(|unit| unit.state == UnitState::Ready) else { return };
        unit.watch.asking = false;
        for next in [&mut unit.watch.next_health, &mut unit.watch.next_memory] {
            *next = next.filter(|at| *at > now.mono);
        }
        match report.health {
            Some(Ok(())) => self.is_well(id),
            Some(Err(why)) => self.is_ill(id, &spec, &why, now),
            None => {}
        }
        if let (Some(limit), Some(used)) = (spec.restart.max_memory, report.memory)
            && used > limit.0
        {
            self.must_start_anew(id, RestartReason::MemoryLimit);
        }
    }

    fn is_well(&mut self, id: &UnitId) {
        let Some(unit) = self.units.get_mut(id) else { return };
        unit.watch.failures = 0;
        if std::mem::take(&mut unit.watch.out) {
            self.fact(Some(id), Event::UnitRecovered);
        }
    }

    fn is_ill(&mut self, id: &UnitId, spec: &AppSpec, reason: &str, now: Now) {
        let mirrored = self.is_mirrored(id);
        let Some(unit) = self.units.get_mut(id) else { return };
        let boots_until = unit.started.and_then(|at| at.saturating_add(spec.readiness.start_period).ok());
        if boots_until.is_some_and(|until| now.wall < until) {
            return;
        }
        // With a mirror, the first failure is one too many.
        let retries = if mirrored { 1 } else { spec.readiness.retries.max(1) };
        unit.watch.failures = unit.watch.failures.saturating_add(1);
        let failures = unit.watch.failures;
        if failures >= retries && !std::mem::replace(&mut unit.watch.out, true) {
            self.fact(Some(id), Event::UnitUnhealthy { reason: reason.to_owned() });
            if self.is_taking_over(id.release()) {
                let what = format!("{id} fails its health checks while its release takes over: {reason}");
                return self.undo_rollout(Diagnosis::new(what), now);
            }
        }
        let lasting = failures >= retries.saturating_mul(2) && spec.restart.policy != RestartPolicy::Never;
        if mirrored || lasting {
            self.must_start_anew(id, RestartReason::Health);
        }
    }

    /// The engine's own health check has made up its mind about the unit.
    pub(super) fn engine_says(&mut self, id: &UnitId, healthy: bool) {
        let Some(retries) = self.spec_of(id.release()).map(|spec| spec.readiness.retries.max(1)) else {
            return;
        };
        let Some(unit) = self.units.get_mut(id).filter(|unit| unit.state == UnitState::Ready) else { return };
        if healthy {
            return self.is_well(id);
        }
        unit.watch.failures = unit.watch.failures.max(retries);
        if !std::mem::replace(&mut unit.watch.out, true) {
            self.fact(Some(id), Event::UnitUnhealthy { reason: "HEALTHCHECK unhealthy".to_owned() });
        }
        if self.is_mirrored(id) {
            self.must_start_anew(id, RestartReason::Health);
        }
    }

    /// Whether the health of the release's units is what the image's own `HEALTHCHECK` says.
    pub(super) fn asks_engine(&self, release: &ReleaseId) -> bool {
        self.releases.get(release).is_some_and(|release| {
            let declared = release.prepared.as_ref().is_some_and(|prepared| prepared.healthcheck);
            declared && release.spec.readiness.kind == ProbeKind::Auto
        })
    }

    fn must_start_anew(&mut self, id: &UnitId, reason: RestartReason) {
        if let Some(unit) = self.units.get_mut(id) {
            unit.due.get_or_insert(reason);
        }
    }
}

pub(super) fn tick_after(at: Mono) -> Mono {
    let ticks = at.0.as_nanos().div_ceil(TICK.as_nanos());
    Mono(TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)))
}
