//! A mirror: one more unit that is kept ready beside the pool, and serves while one of the others cannot.
//!
//! It stands in the slot after the last one. The first failed check of another unit moves the traffic to it. What has failed
//! is fenced: it is drained, stopped and, where it does not stop, killed, before it starts again; and that is not before the
//! cooldown is over, for as long as the mirror serves.

use nd_supervise::Mono;
use nd_types::{Timestamp, UnitId};

use super::unit::{Unit, UnitState};
use super::{AppModel, Now};
use crate::events::{Event, RestartReason};
use crate::plan::Plan;
use crate::spec::MirrorSpec;

/// A mirror at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorStatus {
    /// The unit.
    pub unit: UnitId,
    /// Whether it could serve.
    pub ready: bool,
    /// Whether requests are routed to it.
    pub serves: bool,
    /// Since when another unit has failed for which it stands in.
    pub since: Option<Timestamp>,
    /// When what has failed is tried again at the earliest.
    pub until: Option<Timestamp>,
}

impl AppModel {
    fn mirror_spec(&self) -> Option<MirrorSpec> {
        let release = self.releases.get(self.record.active.as_ref()?)?;
        // Two units cannot have one port, and what has no port gets no requests.
        let possible = !release.portless && self.record.fixed_port.is_none();
        release.spec.mirror.filter(|_| possible)
    }

    /// The mirror of the active release, where it is to have one.
    pub(super) fn mirror(&self) -> Option<UnitId> {
        self.mirror_spec()?;
        let slot = self.record.replicas.saturating_add(1);
        Some(UnitId::new(self.app(), self.record.active.as_ref()?, slot))
    }

    /// How many units of the active release are kept running: those of the pool, and the mirror.
    #[must_use]
    pub fn kept_slots(&self) -> u16 {
        self.slots().max(self.mirror().map_or(0, |mirror| mirror.slot()))
    }

    /// Whether it is another unit than the mirror, and the mirror could serve in its place at this moment.
    #[must_use]
    pub fn is_mirrored(&self, id: &UnitId) -> bool {
        let mirror = self.mirror().filter(|mirror| mirror.release() == id.release());
        mirror.is_some_and(|mirror| id.slot() < mirror.slot() && self.can_serve(&mirror))
    }

    /// Whether the mirror is on its way, so that who is to be started anew without a gap waits for it.
    pub(super) fn awaits_mirror(&self, id: &UnitId) -> bool {
        let Some(mirror) = self.mirror().filter(|mirror| mirror != id) else { return false };
        !self.can_serve(&mirror) && !self.units.get(&mirror).is_some_and(Unit::has_given_up)
    }

    /// Whether the mirror serves in the place of another unit, so that it must not be started anew.
    pub(super) fn is_needed_mirror(&self, id: &UnitId) -> bool {
        self.fails_over && self.mirror().as_ref() == Some(id)
    }

    /// Decides whether the mirror is part of the pool.
    pub(super) fn decide_failover(&mut self, plan: &Plan, now: Now) {
        let active = self.record.active.clone().filter(|_| self.runs_active() && !self.suspended);
        let Some((active, mirror)) = active.zip(self.mirror()) else {
            self.fails_over = false;
            return self.end_failover(None, now);
        };
        let mains = (1..=self.record.replicas).map(|slot| UnitId::new(self.app(), &active, slot));
        // What a deployment has taken out has not failed.
        let mains: Vec<UnitId> = mains.filter(|id| !plan.owned.contains(id)).collect();
        self.fails_over = mains.iter().any(|id| !self.can_serve(id) || self.must_restart(id));
        if self.record.failover.is_some_and(|since| since > now.wall) {
            // The clock was set back: without this the cooldown would last until it has caught up.
            self.record.failover = Some(now.wall);
            self.touch(now);
        }
        let failed = mains.iter().find(|id| self.units.get(id).is_some_and(has_failed)).cloned();
        match failed {
            Some(failed) if self.record.failover.is_none() && self.can_serve(&mirror) => {
                self.record.failover = Some(now.wall);
                self.fact(Some(&mirror), Event::FailedOver { from: failed });
                self.touch(now);
            }
            Some(_) => {}
            None if self.fails_over => {}
            None => self.end_failover(Some(&mirror), now),
        }
    }

    fn end_failover(&mut self, mirror: Option<&UnitId>, now: Now) {
        if self.record.failover.take().is_some() {
            self.fact(mirror, Event::FailedBack);
            self.touch(now);
        }
    }

    /// Until when a unit that has failed stays stopped, since the mirror serves.
    pub(super) fn cools_down(&self, id: &UnitId, now: Now) -> Option<Mono> {
        let until = self.cooldown_ends().filter(|_| self.is_mirrored(id))?;
        let left = std::time::Duration::try_from(until.duration_since(now.wall)).ok()?;
        (!left.is_zero()).then(|| now.mono + left)
    }

    fn cooldown_ends(&self) -> Option<Timestamp> {
        self.record.failover?.saturating_add(self.mirror_spec()?.cooldown).ok()
    }

    /// The mirror as it is now.
    pub(super) fn mirror_status(&self) -> Option<MirrorStatus> {
        let unit = self.mirror()?;
        Some(MirrorStatus {
            ready: self.can_serve(&unit),
            serves: self.is_routed(&unit),
            since: self.record.failover,
            until: self.cooldown_ends(),
            unit,
        })
    }
}

/// Whether the unit has ended by itself, or fails its checks, or was stopped because of that.
fn has_failed(unit: &Unit) -> bool {
    matches!(unit.state, UnitState::Crashed(_))
        || unit.due == Some(RestartReason::Health)
        || unit.ended_for == Some(RestartReason::Health)
}
