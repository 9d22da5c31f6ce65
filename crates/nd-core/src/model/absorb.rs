//! Taking in what came of actions.

use nd_types::{ExitStatus, ReleaseId, StrategyName, UnitId};

use super::action::{
    ActionEnd, ActionError, NotReady, ReadyReport, RoutesServing, Started, StopReport, UnitAction,
};
use super::unit::{UnitEvent, UnitState};
use super::{AppModel, Now, retry_delay};
use crate::diagnosis::Diagnosis;
use crate::events::{Event, RestartReason};
use crate::ports::{DrainReport, PortErrorKind, Prepared};
use crate::records::{Record, RolloutStage};
use crate::routes::AppRoutes;

/// Clocks of engines may be a little ahead of ours when they say when a unit ended.
const AFTER_SUSPENSION: std::time::Duration = std::time::Duration::from_secs(1);

impl AppModel {
    /// Takes in the end of an action.
    pub fn absorb(&mut self, end: ActionEnd, now: Now) {
        match end {
            ActionEnd::Observed { epoch, result } => {
                self.observing = false;
                match result {
                    Ok(seen) => {
                        self.blind = None;
                        self.take_observation(seen, epoch, now);
                    }
                    Err(error) => self.blind(error),
                }
            }
            ActionEnd::Measured(result) => self.measured(result, now),
            ActionEnd::Prepared(release, result) => self.prepared(&release, result, now),
            ActionEnd::Created(unit, result) => self.created(&unit, result, now),
            ActionEnd::Started(unit, result) => self.started(&unit, result, now),
            ActionEnd::Warmed(unit, result) => self.warmed(&unit, result, now),
            ActionEnd::Drained(unit, result) => self.drained(&unit, result, now),
            ActionEnd::Stopped(unit, result) => self.stopped(&unit, result, now),
            ActionEnd::Removed(unit, result) => self.removed(&unit, result, now),
            ActionEnd::Checked(unit, since, report) => self.checked(&unit, since, report, now),
            ActionEnd::Applied(routes, result) => self.applied(*routes, result, now),
            ActionEnd::Withdrawn(result) => {
                self.applying = false;
                match result {
                    Ok(()) => {
                        self.served = None;
                        self.table_known = true;
                    }
                    Err(error) => self.routes_failed(&error, now),
                }
            }
        }
    }

    /// The runtime cannot be asked. What runs goes on; a look follows at the next hint or sweep.
    fn blind(&mut self, error: ActionError) {
        if self.blind.as_ref() != Some(&error.diagnosis.what) {
            self.blind = Some(error.diagnosis.what.clone());
            self.fact(None, Event::Trouble { message: error.diagnosis.what });
        }
    }

    fn prepared(&mut self, release: &ReleaseId, result: Result<Prepared, ActionError>, now: Now) {
        self.preparing = None;
        match result {
            Ok(prepared) => {
                self.failures = 0;
                self.trouble = None;
                self.prepare_not_before = None;
                let Some(known) = self.releases.get_mut(release) else { return };
                known.record.prepared = Some((&prepared).into());
                let record = known.record.clone();
                let notes = prepared.notes.clone();
                known.prepared = Some(prepared);
                self.dirty.push(Record::Release(Box::new(record)));
                for note in notes {
                    self.note(note);
                }
            }
            Err(error) => {
                self.failures += 1;
                self.prepare_not_before = Some(now.mono + retry_delay(self.failures));
                self.action_failed(None, release, error, now);
            }
        }
    }

    fn created(&mut self, id: &UnitId, result: Result<(), ActionError>, now: Now) {
        match result {
            Ok(()) => {
                self.idle(id, now);
                self.on_unit(id, UnitEvent::Created, now);
            }
            Err(error) => {
                if error.kind == PortErrorKind::NotFound {
                    // What was prepared is gone (an image was pruned): prepare again.
                    if let Some(release) = self.releases.get_mut(id.release()) {
                        release.prepared = None;
                    }
                }
                self.unit_failed(id, error, now);
            }
        }
    }

    fn started(&mut self, id: &UnitId, result: Result<Started, ActionError>, now: Now) {
        let restart = match self.units.get(id).and_then(|unit| unit.in_flight) {
            Some(UnitAction::Start(restart)) => restart,
            _ => None,
        };
        match result {
            Ok(started) => {
                self.idle(id, now);
                self.on_unit(id, UnitEvent::Running, now);
                let unit = self.unit_mut(id, now);
                unit.in_doubt = false;
                unit.ended_for = None;
                unit.started = Some(started.at);
                unit.finished = None;
                unit.pid = started.pid;
                unit.crashes.started();
                unit.restarts += u32::from(restart.is_some());
                self.fact(Some(id), Event::UnitStarted { restart });
            }
            Err(error) => {
                let counts = !error.kind.may_pass() && !self.is_advancing(id.release());
                self.unit_mut(id, now).in_doubt = true;
                self.unit_failed(id, error, now);
                if counts {
                    // A start that cannot succeed is an exit: the policy decides how often it is tried.
                    let unit = self.unit_mut(id, now);
                    unit.state = UnitState::Warming;
                    unit.started = None;
                    self.take_crash(id, ExitStatus::Unknown, now);
                }
            }
        }
    }

    fn warmed(&mut self, id: &UnitId, result: Result<ReadyReport, NotReady>, now: Now) {
        match result {
            Ok(report) => {
                self.idle(id, now);
                self.came_up = true;
                self.on_unit(id, UnitEvent::Ready, now);
                self.unit_mut(id, now).address = report.address;
                if let Some(release) = self.releases.get_mut(id.release()) {
                    release.portless = report.address.is_none();
                }
                if report.fixed_port.is_some() && self.record.fixed_port != report.fixed_port {
                    self.record.fixed_port = report.fixed_port;
                    self.touch(now);
                }
                let took_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
                self.steps.say(&report.evidence);
                self.fact(Some(id), Event::UnitReady { evidence: report.evidence, took_ms });
                for note in report.notes {
                    self.note(note);
                }
            }
            Err(not_ready) => self.not_ready(id, not_ready, now),
        }
    }

    fn not_ready(&mut self, id: &UnitId, not_ready: NotReady, now: Now) {
        self.idle(id, now);
        if not_ready.unknown {
            self.look = true;
            return self.unit_failed(
                id,
                ActionError { kind: PortErrorKind::Transient, diagnosis: not_ready.diagnosis },
                now,
            );
        }
        if self.is_taking_over(id.release()) {
            if let Some(exit) = not_ready.exit {
                self.on_unit(id, UnitEvent::Exited(exit), now);
            }
            return self.undo_rollout(not_ready.diagnosis, now);
        }
        match not_ready.exit {
            Some(exit) => self.take_crash(id, exit, now),
            // It runs but does not serve: ask again, and say so.
            None => self.fact(Some(id), Event::Trouble { message: not_ready.diagnosis.what }),
        }
    }

    fn drained(&mut self, id: &UnitId, result: Result<DrainReport, ActionError>, now: Now) {
        match result {
            Ok(report) => {
                self.idle(id, now);
                if !self.may_be_routed(id) {
                    self.unit_mut(id, now).drained = true;
                }
                let (finished, cut) = (report.finished, report.cut + report.websockets_cut);
                let websockets_closed = report.websockets_closed;
                self.steps.drained(report);
                self.count_cut(cut);
                self.fact(Some(id), Event::Drained { finished, cut, websockets_closed });
            }
            Err(error) => self.unit_failed(id, error, now),
        }
    }

    fn stopped(&mut self, id: &UnitId, result: Result<StopReport, ActionError>, now: Now) {
        match result {
            Ok(StopReport { exit, killed }) => {
                self.idle(id, now);
                let due = self.unit_mut(id, now).due;
                let uptime = self.unit_mut(id, now).uptime(now.wall);
                self.on_unit(id, UnitEvent::Stopped, now);
                let unit = self.unit_mut(id, now);
                unit.in_doubt = false;
                unit.finished = Some(now.wall);
                unit.ended_for = due;
                if due == Some(RestartReason::Health) {
                    // To be ill is to crash slowly: it counts, and backs off.
                    self.judge(id, ExitStatus::Unknown, uptime, now);
                } else {
                    unit.crashes.reset();
                }
                if self.suspended {
                    // The next daemon starts it again, whatever the policy says about this exit.
                    self.record.run_asked_at = now.wall.saturating_add(AFTER_SUSPENSION).unwrap_or(now.wall);
                    self.touch(now);
                }
                self.fact(Some(id), Event::UnitStopped { exit, killed });
            }
            Err(error) => self.unit_failed(id, error, now),
        }
    }

    fn removed(&mut self, id: &UnitId, result: Result<(), ActionError>, now: Now) {
        match result {
            Ok(()) => {
                self.idle(id, now);
                self.on_unit(id, UnitEvent::Gone, now);
                self.unit_mut(id, now).in_doubt = false;
                self.fact(Some(id), Event::UnitRemoved);
            }
            Err(error) => self.unit_failed(id, error, now),
        }
    }

    fn applied(&mut self, routes: AppRoutes, result: Result<RoutesServing, ActionError>, now: Now) {
        self.applying = false;
        let serving = match result {
            Ok(serving) => serving,
            Err(error) => return self.routes_failed(&error, now),
        };
        self.failures = 0;
        self.trouble = None;
        self.routes_not_before = None;
        self.table_known = true;
        let release = routes.service.release.clone();
        self.has_mixed(routes.mix, now);
        let units = u32::try_from(routes.units.len()).unwrap_or(u32::MAX);
        let faults: Vec<String> =
            serving.faults.iter().map(|fault| format!("{}: {}", fault.bind, fault.error)).collect();
        let same_faults = std::mem::replace(&mut self.port_faults, faults) == self.port_faults;
        if self.served.replace(routes) != self.served || !same_faults {
            self.fact(None, Event::RoutesServing { generation: serving.generation, units });
        }
        if let Some(fault) = self.port_faults.first().cloned() {
            let diagnosis = Diagnosis {
                fix: vec!["stop what holds the port, or choose another host port".to_owned()],
                ..Diagnosis::new(format!("cannot listen on {fault}"))
            };
            if self.is_taking_over(&release) {
                return self.undo_rollout(diagnosis, now);
            }
            if !same_faults {
                self.fact(None, Event::Trouble { message: diagnosis.what });
            }
        }
        if units > 0 && self.record.active.as_ref() != Some(&release) && self.leads_to(&release) {
            self.switch_to(&release, now);
        }
    }

    /// A mix of both releases serves: the deployment has come that far.
    fn has_mixed(&mut self, mix: u16, now: Now) {
        if let Some(rollout) = &mut self.record.rollout
            && rollout.stage == RolloutStage::Advancing
            && rollout.mixed < mix
        {
            rollout.mixed = mix;
            rollout.canary.since = (rollout.strategy == StrategyName::Canary).then_some(now.wall);
            self.touch(now);
        }
    }

    /// Whether the deployment under way leads to `release`: forward to the new one, or back to the old one.
    fn leads_to(&self, release: &ReleaseId) -> bool {
        self.record.rollout.as_ref().is_some_and(|rollout| match rollout.stage {
            RolloutStage::Advancing => rollout.release == *release,
            RolloutStage::Undoing(_) => rollout.release != *release,
        })
    }

    fn routes_failed(&mut self, error: &ActionError, now: Now) {
        self.failures += 1;
        self.table_known = false;
        self.routes_not_before = Some(now.mono + retry_delay(self.failures));
        if self.trouble.as_ref() != Some(&error.diagnosis.what) {
            self.trouble = Some(error.diagnosis.what.clone());
            self.fact(None, Event::Trouble { message: error.diagnosis.what.clone() });
        }
    }

    fn idle(&mut self, id: &UnitId, now: Now) {
        let unit = self.unit_mut(id, now);
        unit.in_flight = None;
        unit.not_before = None;
        unit.failures = 0;
        let overlooked = std::mem::take(&mut unit.overlooked);
        self.look |= overlooked;
        self.trouble = None;
    }

    fn unit_failed(&mut self, id: &UnitId, error: ActionError, now: Now) {
        let epoch = self.next_epoch();
        let unit = self.unit_mut(id, now);
        unit.in_flight = None;
        unit.failures += 1;
        unit.not_before = Some(now.mono + retry_delay(unit.failures));
        unit.epoch = epoch;
        self.look = true;
        self.action_failed(Some(id), id.release(), error, now);
    }

    /// What may pass is tried again until the deployment's deadline; the rest ends it.
    fn action_failed(&mut self, id: Option<&UnitId>, release: &ReleaseId, error: ActionError, now: Now) {
        if self.is_taking_over(release) && !error.kind.may_pass() {
            return self.undo_rollout(error.diagnosis, now);
        }
        if self.trouble.as_ref() != Some(&error.diagnosis.what) {
            self.trouble = Some(error.diagnosis.what.clone());
            self.steps.progress(&error.diagnosis.what, now, &mut self.facts, self.record.rollout.as_ref());
            self.fact(id, Event::Trouble { message: error.diagnosis.what });
        }
    }

    /// Keeps something the user should know with the deployment.
    fn note(&mut self, message: String) {
        if let Some(deployment) = self.deployment.as_mut().filter(|_| self.record.rollout.is_some()) {
            if deployment.notes.contains(&message) {
                return;
            }
            deployment.notes.push(message.clone());
            self.dirty.push(Record::Deployment(Box::new(deployment.clone())));
        }
        self.fact(None, Event::Note { message });
    }
}
