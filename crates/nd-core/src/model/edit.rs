//! What users ask for: edits of desired state, checked against what is under way.

mod domains;

use std::sync::Arc;
use std::time::Duration;

use nd_types::{DeploymentId, Gate, HostPattern, IngressKind, RuntimeKind, StrategyName, Timestamp};

use super::steps::StepTracker;
use super::{AppModel, Fact, Now, Release};
use crate::diagnosis::Diagnosis;
use crate::events::Event;
use crate::records::{
    AppRecord, CanaryRecord, DeploymentRecord, DeploymentStatus, Record, ReleaseRecord, RolloutRecord,
    RolloutStage, RunIntent,
};
use crate::spec::AppSpec;

pub use domains::DomainChange;

/// One wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Make a release serve.
    Deploy(Box<DeployEdit>),
    /// End the deployment under way and go back.
    Cancel(DeploymentId),
    /// Let the release that is tried take over at once.
    Promote(DeploymentId),
    /// Run.
    Start,
    /// Run again, because somebody asks for it.
    Wake,
    /// Do not run.
    Stop,
    /// Start every instance anew, one after the other.
    Restart,
    /// Start every instance anew, so that nobody notices: a second one stands in for an only one.
    Reload,
    /// Have so many instances, at least one.
    Scale(u16),
    /// Let requests come through, wait or be told to come back.
    Gate(Gate),
    /// Have this bring its requests.
    Ingress(IngressKind),
    /// Be reached at other domains.
    Domains(DomainChange),
    /// Vanish.
    Remove {
        /// Also where the app is protected.
        force: bool,
    },
}

/// A deployment that was checked and is to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployEdit {
    /// The deployment.
    pub deployment: DeploymentRecord,
    /// The release, when it is new.
    pub release: Option<ReleaseRecord>,
    /// How many instances it is to have; as many as before when absent.
    pub replicas: Option<u16>,
    /// Whether the app is protected from removal; as before when absent.
    pub protected: Option<bool>,
    /// What brings its requests; the same as before when absent.
    pub ingress: Option<IngressKind>,
    /// When the attempt is given up.
    pub deadline: Timestamp,
}

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Another deployment is under way.
    #[error("deployment {0} of this app is still under way")]
    Busy(DeploymentId),
    /// Nothing was ever deployed.
    #[error("app has no release that could run; deploy it first")]
    NothingToRun,
    /// The release to go to is gone.
    #[error("release {0} is not kept any more")]
    ReleaseGone(nd_types::ReleaseId),
    /// The release to go to is the one that serves.
    #[error("release {0} serves already; `restart` starts its instances anew")]
    ServesAlready(nd_types::ReleaseId),
    /// The deployment to cancel is not under way.
    #[error("deployment {0} is not under way")]
    NotUnderWay(DeploymentId),
    /// The deployment to promote goes through no steps.
    #[error("deployment {0} is no canary: it takes over by itself")]
    NoCanary(DeploymentId),
    /// Fewer than one instance.
    #[error("an app has at least one instance; `stop` stops it")]
    NoInstances,
    /// More than one instance of an app that has its host ports itself.
    #[error("an app that has its host ports itself (`proxy.enabled: false`) has one instance, not {0}")]
    OnlyOne(u16),
    /// More than one instance of a server that something else runs.
    #[error("a server that something else runs (`upstream`) is one instance, not {0}")]
    OnePlace(u16),
    /// It has its ports itself.
    #[error("an app that has its host ports itself (`proxy.enabled: false`) is reached at no domain")]
    NoRoutes,
    /// A domain that does not lead to it.
    #[error("{0} is no domain of this app")]
    NoSuchDomain(HostPattern),
    /// The name that every app has.
    #[error("{0} leads to the app as long as there is one: every app has such a name on its own machine")]
    OwnName(HostPattern),
    /// It is protected.
    #[error("app is protected from removal (`app.deletion_protection`)")]
    Protected,
    /// The app is being removed.
    #[error("app is being removed")]
    Removing,
}

/// A wish that was checked: what must be stored before it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    record: AppRecord,
    deployment: Option<DeploymentRecord>,
    release: Option<ReleaseRecord>,
    change: Option<String>,
    resets_crashes: bool,
}

impl Edited {
    /// The records that hold the wish.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let release = self.release.iter().map(|release| Record::Release(Box::new(release.clone())));
        let deployment =
            self.deployment.iter().map(|deployment| Record::Deployment(Box::new(deployment.clone())));
        release.chain(deployment).chain([Record::App(Box::new(self.record.clone()))]).collect()
    }

    /// The app as it is to be.
    pub(crate) fn record(&self) -> &AppRecord {
        &self.record
    }

    /// The release that is new with it.
    pub(crate) fn release(&self) -> Option<&ReleaseRecord> {
        self.release.as_ref()
    }

    /// The number of the wish; the app has fulfilled it when its status is settled at this revision or a later one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.record.revision
    }
}

/// What to call the step from one gate to another.
fn gate_change(from: Gate, to: Gate) -> &'static str {
    match (from, to) {
        (_, Gate::Maintenance { .. }) => "maintenance on",
        (_, Gate::Paused { .. }) => "pause",
        (Gate::Maintenance { .. }, Gate::Open) => "maintenance off",
        (_, Gate::Open) => "resume",
    }
}

impl AppModel {
    /// Checks a wish. Changes nothing: first the records must be stored, then [`AppModel::accept`] makes them count.
    ///
    /// # Errors
    /// [`EditError`] says what stands in the way.
    pub fn edit(&self, edit: Edit, now: Now) -> Result<Edited, EditError> {
        let mut record = self.record.clone();
        if record.run == RunIntent::Removed && !matches!(edit, Edit::Deploy(_) | Edit::Remove { .. }) {
            return Err(EditError::Removing);
        }
        if matches!(&edit, Edit::Scale(0))
            || matches!(&edit, Edit::Deploy(deploy) if deploy.replicas == Some(0))
        {
            return Err(EditError::NoInstances);
        }
        record.revision += 1;
        record.updated_at = now.wall;
        let mut edited =
            Edited { record, deployment: None, release: None, change: None, resets_crashes: false };
        match edit {
            Edit::Deploy(deploy) => self.edit_deploy(*deploy, &mut edited)?,
            Edit::Cancel(id) => self.edit_cancel(&id, &mut edited)?,
            Edit::Promote(id) => Self::edit_promote(&id, &mut edited)?,
            Edit::Start => self.edit_start(now, &mut edited)?,
            Edit::Wake => self.edit_wake(now, &mut edited)?,
            Edit::Stop => self.edit_stop(RunIntent::Stopped, "stop", now, &mut edited),
            Edit::Remove { force: false } if self.record.protected => return Err(EditError::Protected),
            Edit::Remove { .. } => self.edit_stop(RunIntent::Removed, "remove", now, &mut edited),
            Edit::Restart => self.edit_restart(false, now, &mut edited)?,
            Edit::Reload => self.edit_restart(true, now, &mut edited)?,
            Edit::Gate(gate) => {
                edited.record.gate = gate;
                edited.change = Some(gate_change(self.record.gate, gate).to_owned());
            }
            Edit::Ingress(kind) => {
                edited.record.ingress = Some(kind);
                edited.change = Some(format!("served by {kind}"));
            }
            Edit::Domains(change) => self.edit_domains(&change, &mut edited)?,
            Edit::Scale(replicas) => {
                let release = self.record.rollout.as_ref().map(|rollout| &rollout.release);
                let spec = release.or(self.record.active.as_ref()).and_then(|release| self.spec_of(release));
                only_one(spec.map(Arc::as_ref), replicas)?;
                edited.record.replicas = replicas;
                if let Some(rollout) = &mut edited.record.rollout {
                    rollout.replicas = replicas;
                }
                edited.change = Some(format!("scale to {replicas}"));
            }
        }
        Ok(edited)
    }

    /// Makes a stored wish count.
    pub fn accept(&mut self, edited: Edited) {
        self.record = edited.record;
        if let Some(release) = edited.release {
            self.releases.insert(release.id.clone(), Release::new(release));
        }
        if let Some(deployment) = edited.deployment {
            if let Some(what) = first_or_last_event(&deployment) {
                self.steps = StepTracker::default();
                self.open_receipt();
                self.facts.push(Fact { unit: None, deployment: Some(deployment.id.clone()), what });
            }
            self.deployment = Some(deployment);
            self.prepare_not_before = None;
            self.failures = 0;
        }
        if edited.resets_crashes {
            for unit in self.units.values_mut() {
                unit.crashes.reset();
                unit.not_before = None;
            }
        }
        if let Some(change) = edited.change {
            self.fact(None, Event::AppChanged { change });
        }
    }

    fn edit_deploy(&self, deploy: DeployEdit, edited: &mut Edited) -> Result<(), EditError> {
        if let Some(rollout) = &self.record.rollout {
            return Err(EditError::Busy(rollout.deployment.clone()));
        }
        let DeployEdit { mut deployment, release: new, replicas, protected, ingress, deadline } = deploy;
        let release = deployment.release.clone();
        let again = self.record.run == RunIntent::Removed;
        if new.is_none() && (again || !self.releases.contains_key(&release)) {
            return Err(EditError::ReleaseGone(release));
        }
        let record = &mut edited.record;
        if again {
            // A removed app begins anew: what it once was must not come back, not even when this deployment fails.
            *record = AppRecord {
                revision: record.revision,
                ..AppRecord::new(record.app.clone(), record.updated_at)
            };
        }
        if record.active.as_ref() == Some(&release) {
            return Err(EditError::ServesAlready(release));
        }
        // Whoever asked may have looked at the app before the last deployment ended.
        deployment.previous.clone_from(&record.active);
        deployment.revision = record.revision;
        let replicas = replicas.unwrap_or(record.replicas);
        let spec = new.as_ref().map(|new| AppSpec::from(&new.spec));
        only_one(spec.as_ref().or_else(|| self.spec_of(&release).map(Arc::as_ref)), replicas)?;
        record.protected = protected.unwrap_or(record.protected);
        record.ingress = ingress.or(record.ingress);
        let from_stopped = record.run == RunIntent::Stopped;
        record.run = RunIntent::Running;
        record.asleep = false;
        record.run_asked_at = record.updated_at;
        record.bake = None;
        record.rollout = Some(RolloutRecord {
            deployment: deployment.id.clone(),
            release,
            strategy: deployment.strategy,
            replicas,
            old_replicas: record.replicas,
            from_stopped,
            from_idle: self.serves_nothing(),
            deadline,
            mixed: 0,
            canary: CanaryRecord::default(),
            before: None,
            stage: RolloutStage::Advancing,
        });
        edited.deployment = Some(deployment);
        edited.release = new;
        edited.resets_crashes = true;
        Ok(())
    }

    fn edit_cancel(&self, id: &DeploymentId, edited: &mut Edited) -> Result<(), EditError> {
        let under_way = edited.record.rollout.as_mut().filter(|rollout| rollout.deployment == *id);
        let Some(rollout) = under_way else { return Err(EditError::NotUnderWay(id.clone())) };
        if rollout.stage == RolloutStage::Advancing {
            rollout.turn_back(Diagnosis::new("cancelled by the user"), edited.record.updated_at);
        }
        edited.deployment = self.deployment.clone().map(|deployment| DeploymentRecord {
            status: DeploymentStatus::Cancelled,
            error: Some(Diagnosis::new("cancelled by the user")),
            ..deployment
        });
        Ok(())
    }

    fn edit_promote(id: &DeploymentId, edited: &mut Edited) -> Result<(), EditError> {
        let advances = |rollout: &&mut RolloutRecord| {
            rollout.deployment == *id && rollout.stage == RolloutStage::Advancing
        };
        let under_way = edited.record.rollout.as_mut().filter(advances);
        let Some(rollout) = under_way else { return Err(EditError::NotUnderWay(id.clone())) };
        if rollout.strategy != StrategyName::Canary {
            return Err(EditError::NoCanary(id.clone()));
        }
        rollout.canary.promoted = true;
        edited.change = Some("promote".to_owned());
        Ok(())
    }

    fn edit_start(&self, now: Now, edited: &mut Edited) -> Result<(), EditError> {
        if self.record.active.is_none() && self.record.rollout.is_none() {
            return Err(EditError::NothingToRun);
        }
        edited.record.run = RunIntent::Running;
        edited.record.asleep = false;
        edited.record.run_asked_at = now.wall;
        edited.resets_crashes = true;
        edited.change = Some("start".to_owned());
        Ok(())
    }

    fn edit_wake(&self, now: Now, edited: &mut Edited) -> Result<(), EditError> {
        self.edit_start(now, edited)?;
        edited.change = Some("wake: somebody asks for it".to_owned());
        Ok(())
    }

    fn edit_restart(&self, gently: bool, now: Now, edited: &mut Edited) -> Result<(), EditError> {
        self.edit_start(now, edited)?;
        edited.record.restart_before = Some(self.after_every_start(now.wall));
        edited.record.restart_gently = gently;
        edited.change = Some(if gently { "reload" } else { "restart" }.to_owned());
        Ok(())
    }

    /// A time that every instance started before, also when the clock was set back since.
    fn after_every_start(&self, now: Timestamp) -> Timestamp {
        let last = self.units.values().filter_map(|unit| unit.started).max();
        let after = last.map(|last| last.saturating_add(Duration::from_nanos(1)).unwrap_or(last));
        after.map_or(now, |after| after.max(now))
    }

    /// Stopping or removing an app ends its deployment too: what was wanted last counts.
    fn edit_stop(&self, run: RunIntent, change: &str, now: Now, edited: &mut Edited) {
        edited.record.run = run;
        edited.record.asleep = false;
        edited.record.bake = None;
        edited.change = Some(change.to_owned());
        if edited.record.rollout.take().is_some() {
            edited.deployment = self.deployment.clone().map(|deployment| DeploymentRecord {
                status: DeploymentStatus::Cancelled,
                error: Some(Diagnosis::new(format!("ended by `{change}`"))),
                finished_at: Some(now.wall),
                ..deployment
            });
        }
    }
}

/// Two units cannot have one port, and one place is not made two by being asked twice.
fn only_one(spec: Option<&AppSpec>, replicas: u16) -> Result<(), EditError> {
    match spec {
        Some(spec) if replicas > 1 && spec.own_ports().next().is_some() => Err(EditError::OnlyOne(replicas)),
        Some(spec) if replicas > 1 && spec.runtime() == RuntimeKind::External => {
            Err(EditError::OnePlace(replicas))
        }
        _ => Ok(()),
    }
}

/// What a deployment that begins, or that an edit has ended, is announced with.
fn first_or_last_event(deployment: &DeploymentRecord) -> Option<Event> {
    if deployment.status == DeploymentStatus::Running {
        let (release, strategy) = (deployment.release.clone(), deployment.strategy);
        return Some(Event::DeployStarted { release, strategy });
    }
    let diagnosis = deployment.error.clone().filter(|_| deployment.finished_at.is_some())?;
    Some(Event::DeployFailed { diagnosis, old_serves: false, lost: false })
}
