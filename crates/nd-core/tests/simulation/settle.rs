//! When the faults end, everything becomes as it was asked for, within a bounded number of steps.

use std::time::Duration;

use nd_core::model::{AppPhase, UnitState};
use nd_core::records::{DeploymentStatus, RunIntent};
use nd_types::{ExitStatus, ReleaseId, UnitId};

use crate::laws::{self, Law, holds};
use crate::recipe::Nature;
use crate::sim::{Outcome, Sim};

/// More steps than any history needs to come to rest; beyond them it never will.
const STEPS: usize = 3_000;

/// The periodic look of the engine.
const SWEEP: Duration = Duration::from_secs(30);

impl Sim {
    /// No more faults: lets everything end, until nothing is left to do.
    pub(crate) fn settle(&mut self) -> Law {
        self.world.disk_full = false;
        self.world.port_taken = false;
        self.world.requests.clear();
        self.world.ill.clear();
        self.world.greedy.clear();
        self.model.sweep();
        self.activate()?;
        let mut swept = false;
        for _ in 0..STEPS {
            if self.die_serving() {
                self.model.look_again();
            } else if !self.pending.is_empty() {
                self.advance(Duration::from_millis(1));
                self.complete(0, Outcome::Done);
            } else if swept && self.model.status().settled {
                self.store();
                return laws::check_stored(self);
            } else {
                let sweep = self.world.now().mono + SWEEP;
                let until = self.wake_at.unwrap_or(sweep).min(sweep);
                self.advance(until.saturating_since(self.world.now().mono));
                self.model.sweep();
                swept = true;
            }
            self.activate()?;
        }
        Err(format!("it never comes to rest: {:?}\n{:?}", self.model.record(), self.model.units()))
    }

    /// What ends as soon as it serves, ends. Answers whether anything did.
    fn die_serving(&mut self) -> bool {
        let mut died = false;
        for unit in self.world.routed() {
            if self.world.nature(unit.release()) == Nature::DiesServing && self.world.runs(&unit) {
                self.advance(Duration::from_millis(20));
                self.world.crash(&unit, ExitStatus::Code(1));
                died = true;
            }
        }
        died
    }

    /// Whether the world is as it was asked for, exactly.
    pub(crate) fn check_goal(&self) -> Law {
        let record = self.model.record();
        holds(self.model.status().settled, || "it is not settled".to_owned())?;
        holds(record.rollout.is_none(), || "a deployment is still under way".to_owned())?;
        for (id, deployment) in &self.world.stored.deployments {
            let ended = deployment.status != DeploymentStatus::Running && deployment.finished_at.is_some();
            holds(ended, || format!("{id} never ended: {deployment:?}"))?;
        }
        self.check_owned()?;
        match record.run {
            RunIntent::Running => self.check_running(),
            RunIntent::Stopped => {
                holds(self.world.running().count() == 0, || "something runs in a stopped app".to_owned())
            }
            RunIntent::Removed => {
                holds(self.model.is_gone(), || "the removed app is not gone".to_owned())?;
                holds(self.world.units.is_empty(), || {
                    format!("removed, and left: {:?}", self.world.units.keys())
                })?;
                holds(self.world.table.is_none(), || "removed, and still routed".to_owned())?;
                holds(self.world.stored.releases.is_empty(), || "removed, and releases are kept".to_owned())
            }
        }
    }

    /// Whether all of it has ended with success.
    fn has_completed(&self, active: &ReleaseId, replicas: u16) -> bool {
        (1..=replicas).all(|slot| {
            let unit = self.model.units().get(&self.unit(active, slot));
            unit.is_some_and(|unit| matches!(unit.state, UnitState::Crashed(exit) if exit.is_success()))
        })
    }

    /// Every unit belongs to a release that a record names.
    fn check_owned(&self) -> Law {
        let record = self.model.record();
        for (id, machine) in &self.world.units {
            let active = record.active.as_ref() == Some(id.release());
            let owned =
                (active && id.slot() <= self.model.kept_slots()) || record.kept.contains(id.release());
            holds(owned, || format!("{id} belongs to nobody: {record:?}"))?;
            holds(active || !machine.runs(), || format!("{id} runs and is not of the active release"))?;
        }
        for id in self.world.stored.releases.keys() {
            let referred = record.active.as_ref() == Some(id) || record.kept.contains(id);
            holds(referred, || format!("release {id} is stored and nobody refers to it"))?;
        }
        Ok(())
    }

    fn check_running(&self) -> Law {
        let record = self.model.record();
        let Some(active) = &record.active else {
            holds(self.world.units.is_empty(), || "nothing is active, and units are left".to_owned())?;
            return holds(self.world.routed().is_empty(), || {
                "nothing is active, and something is routed".to_owned()
            });
        };
        let mut serving = 0;
        for slot in 1..=self.model.slots() {
            let id = self.unit(active, slot);
            let unit = self.model.units().get(&id).ok_or_else(|| format!("{id} does not exist"))?;
            let may_fail =
                unit.has_given_up() && matches!(unit.state, UnitState::Crashed(_) | UnitState::Absent);
            holds(may_fail || self.serves(&id), || format!("{id} is wanted and does not serve: {unit:?}"))?;
            serving += u16::from(self.serves(&id));
        }
        let routed = self.world.routed();
        holds(routed.len() == usize::from(serving), || {
            format!("{serving} units serve, and routed are {routed:?}")
        })?;
        let table = self.world.table.as_ref();
        holds(table.is_some_and(|table| table.service.release == *active), || {
            "the table is of another release".to_owned()
        })?;
        let phase = self.model.status().phase;
        let right = match serving {
            0 if self.has_completed(active, self.model.kept_slots()) => phase == AppPhase::Stopped,
            0 => phase == AppPhase::Failed,
            some if some == record.replicas => phase == AppPhase::Running,
            _ => phase == AppPhase::Degraded,
        };
        holds(right, || format!("{serving} of {} serve, and the app is said to be {phase}", record.replicas))
    }

    /// Whether the unit runs, is known to be ready and gets its requests where it listens.
    pub(crate) fn serves(&self, unit: &UnitId) -> bool {
        let machine = self.world.units.get(unit).filter(|machine| machine.runs());
        let known =
            self.model.units().get(unit).is_some_and(|unit| unit.state == UnitState::Ready && unit.is_idle());
        let backends = self.world.table.iter().flat_map(|table| &table.service.backends);
        let mut addresses = backends.filter(|backend| backend.unit == *unit).map(|backend| backend.address);
        known && machine.is_some_and(|machine| addresses.next() == Some(machine.address))
    }
}
