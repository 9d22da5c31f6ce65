//! Taking in what the runtime sees.

use std::collections::BTreeMap;
use std::time::Duration;

use nd_types::{ExitStatus, Timestamp, UnitId};

use super::action::UnitAction;
use super::crash::Verdict;
use super::unit::{Unit, UnitEvent, UnitState};
use super::{AppModel, Now};
use crate::diagnosis::Diagnosis;
use crate::events::Event;
use crate::ports::{UnitObserved, UnitStatus};

impl AppModel {
    /// Takes in a look at all units that began at `epoch`. What was learned or begun since then is not overruled.
    pub(super) fn take_observation(&mut self, seen: Vec<UnitObserved>, epoch: u64, now: Now) {
        let first = !self.observed;
        self.observed = true;
        let seen: BTreeMap<UnitId, UnitObserved> =
            seen.into_iter().filter_map(|unit| Some((unit.id.clone()?, unit))).collect();
        // A drain changes nothing about its unit; every other action is overtaken by its own report.
        let busy = |unit: &Unit| !matches!(unit.in_flight, None | Some(UnitAction::Drain));
        let stale = |model: &Self, id: &UnitId| {
            model.units.get(id).is_some_and(|unit| busy(unit) || unit.epoch > epoch)
        };
        for (id, unit) in &seen {
            if stale(self, id) {
                let has_ended = matches!(unit.status, UnitStatus::Exited { .. });
                match self.units.get_mut(id) {
                    Some(known) if busy(known) => known.overlooked |= has_ended,
                    _ => self.look = true,
                }
            } else {
                self.take_unit(id, unit, first, now);
            }
        }
        let vanished: Vec<UnitId> = self
            .units
            .iter()
            .filter(|(id, unit)| {
                unit.state != UnitState::Absent && !seen.contains_key(id) && !stale(self, id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in vanished {
            if self.units.get(&id).is_some_and(|unit| unit.state.is_running()) {
                // How it ended nobody knows; whether it comes back is for the policy to say.
                self.judge(&id, ExitStatus::Unknown, Duration::MAX, now);
            }
            self.on_unit(&id, UnitEvent::Gone, now);
            self.unit_mut(&id, now).in_doubt = false;
            self.fact(Some(&id), Event::UnitVanished);
            self.fail_if_advancing(&id, "was removed by somebody else", None, now);
        }
    }

    fn take_unit(&mut self, id: &UnitId, seen: &UnitObserved, first: bool, now: Now) {
        let was = self.units.get(id).map_or(UnitState::Absent, |unit| unit.state);
        self.unit_mut(id, now).in_doubt = false;
        match &seen.status {
            UnitStatus::Created => {
                if was == UnitState::Absent {
                    self.on_unit(id, UnitEvent::Created, now);
                }
            }
            UnitStatus::Running { since, healthy } => {
                let restarted =
                    self.units.get(id).and_then(|unit| unit.started).is_some_and(|known| known != *since);
                if was == UnitState::Ready && restarted {
                    // Somebody else stopped and started it: what was known about it no longer holds.
                    self.on_unit(id, UnitEvent::Stopped, now);
                }
                self.on_unit(id, UnitEvent::Running, now);
                let unit = self.unit_mut(id, now);
                if was == UnitState::Absent {
                    // It was not us who started it: requests may be in flight on it.
                    unit.drained = false;
                }
                unit.started = Some(*since);
                unit.pid = seen.pid;
                if first {
                    self.take_trusted(id, *since, now);
                }
                if let Some(healthy) = healthy.filter(|_| self.asks_engine(id.release())) {
                    self.engine_says(id, healthy);
                }
            }
            UnitStatus::Exited { exit, started, finished } => {
                let unit = self.unit_mut(id, now);
                unit.started = started.or(unit.started);
                unit.finished = finished.or(unit.finished).or(Some(now.wall));
                self.take_exit(id, *exit, first, now);
            }
        }
    }

    /// The ingress has led to this very life of the unit before the daemon began: it serves.
    fn take_trusted(&mut self, id: &UnitId, since: Timestamp, now: Now) {
        let Some(backend) = self.trusted.remove(id).filter(|backend| backend.started == Some(since)) else {
            return;
        };
        self.came_up = true;
        self.on_unit(id, UnitEvent::Ready, now);
        self.unit_mut(id, now).address = Some(backend.address);
    }

    fn take_exit(&mut self, id: &UnitId, exit: ExitStatus, first: bool, now: Now) {
        let was = self.units.get(id).map_or(UnitState::Absent, |unit| unit.state);
        if self.has_done_its_work(id, exit) {
            // Its release takes over all the same; then it is looked at again.
            self.unit_mut(id, now).overlooked = true;
        } else if was.is_running() {
            self.take_crash(id, exit, now);
        } else if was == UnitState::Absent && first && self.ended_unwanted(id) {
            // Ended while no daemon looked, or just before one was killed: then it may have been counted already.
            let unit = self.unit_mut(id, now);
            unit.state = UnitState::Crashed(exit);
            let finished = unit.finished.unwrap_or(now.wall);
            let uptime = unit.uptime(finished);
            if self.counted.get(id).is_none_or(|counted| *counted < finished) {
                let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
                self.fact(Some(id), Event::UnitExited { exit, uptime_ms });
            }
            self.judge(id, exit, Duration::MAX, now);
        } else if was == UnitState::Absent {
            self.on_unit(id, UnitEvent::Stopped, now);
        }
    }

    /// Whether a job of the release that is taking over, which has come far enough, has ended as it should.
    fn has_done_its_work(&self, id: &UnitId, exit: ExitStatus) -> bool {
        let is_job =
            self.units.get(id).is_some_and(|unit| unit.state == UnitState::Ready && unit.address.is_none());
        let is_final =
            self.spec_of(id.release()).is_some_and(|spec| !spec.restart.policy.restarts_after(exit));
        is_job && is_final && exit.is_success() && self.is_taking_over(id.release())
    }

    /// Whether the unit was to serve when it ended, as far as anybody can tell afterwards.
    fn ended_unwanted(&self, id: &UnitId) -> bool {
        let asked_before = |ended| ended >= self.record.run_asked_at;
        let ended = self.units.get(id).and_then(|unit| unit.finished);
        let wanted = self.record.active.as_ref() == Some(id.release()) && !self.record.asleep;
        wanted && ended.is_none_or(asked_before)
    }

    /// A unit that ran has ended without having been asked to.
    pub(super) fn take_crash(&mut self, id: &UnitId, exit: ExitStatus, now: Now) {
        let unit = self.unit_mut(id, now);
        let finished = unit.finished.unwrap_or(now.wall);
        let uptime = unit.uptime(finished);
        unit.finished = Some(finished);
        self.on_unit(id, UnitEvent::Exited(exit), now);
        let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
        self.fact(Some(id), Event::UnitExited { exit, uptime_ms });
        if self.fail_if_advancing(id, &format!("ended with {exit}"), Some(exit), now) {
            return;
        }
        let why = match self.judge(id, exit, uptime, now) {
            Verdict::Loop { crashes, .. } => {
                self.fact(Some(id), Event::CrashLoop { crashes, exit });
                format!("{id} crashed {crashes} times, the last time with {exit}")
            }
            Verdict::Final if !exit.is_success() => format!("{id} ended with {exit} for good"),
            Verdict::Free | Verdict::At(_) | Verdict::Final => return,
        };
        let release = id.release().clone();
        self.end_probation(&release, &why, now);
    }

    pub(super) fn judge(&mut self, id: &UnitId, exit: ExitStatus, uptime: Duration, now: Now) -> Verdict {
        let Some(policy) = self.spec_of(id.release()).map(|spec| spec.restart.clone()) else {
            return Verdict::Final;
        };
        let unit = self.unit_mut(id, now);
        unit.crashes.record(exit, uptime, now.mono, &policy, now.jitter)
    }

    /// A unit of the release that is about to take over is in trouble: the deployment has failed.
    fn fail_if_advancing(&mut self, id: &UnitId, what: &str, exit: Option<ExitStatus>, now: Now) -> bool {
        if !self.is_taking_over(id.release()) {
            return false;
        }
        let when = if self.is_routed(id) { "while its release took over" } else { "before it could serve" };
        self.undo_rollout(Diagnosis { exit, ..Diagnosis::new(format!("{id} {what} {when}")) }, now);
        true
    }

    /// Moves a unit along; an impossible move is reported, and answered with a fresh look.
    pub(super) fn on_unit(&mut self, id: &UnitId, event: UnitEvent, now: Now) {
        let epoch = self.next_epoch();
        let unit = self.unit_mut(id, now);
        unit.epoch = epoch;
        if let Err(illegal) = unit.on(event, now.wall) {
            self.look = true;
            self.fact(Some(id), Event::Trouble { message: format!("{illegal}; looking again") });
        }
    }
}
