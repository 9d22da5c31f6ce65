//! Accepting a deployment: checks that need the whole engine, the choice of the strategy, and the queue.

use std::sync::Arc;
use std::time::Duration;

use nd_types::{AppName, DeploymentId, IngressKind, ReleaseId, RuntimeKind, StrategyName, Timestamp};

use super::choose::{choose_strategy, time_limit};
use super::error::EngineError;
use super::reconciler::ask;
use super::shared::{AppEntry, Message, Shared};
use crate::model::edit::{DeployEdit, Edit};
use crate::model::{AppModel, AppStatus};
use crate::plan::Plan;
use crate::ports::{PlanInput, PortResult, RegistryAuth, UnitInput, UnitReadiness, within};
use crate::records::{AppRecord, DeploymentRecord, DeploymentStatus, Record, ReleaseRecord};
use crate::spec::AppSpec;

/// How often a queued deployment looks whether it is its turn, beside being woken.
const QUEUE_CHECK: Duration = Duration::from_secs(1);

/// How long reading the store may take.
const LOAD: Duration = Duration::from_secs(10);

/// A wish to make a new release serve.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// The app.
    pub app: AppName,
    /// What the release consists of.
    pub spec: AppSpec,
    /// How many instances; as many as before, or one, when absent.
    pub replicas: Option<u16>,
    /// Whether the app is protected from removal; as before when absent.
    pub protected: Option<bool>,
    /// What brings its requests; the same as before when absent.
    pub ingress: Option<IngressKind>,
    /// A login for the registry of the image.
    pub auth: Option<RegistryAuth>,
    /// Who asks.
    pub actor: String,
    /// What they say about it.
    pub message: Option<String>,
    /// What the request is known by when it is sent again. It is stored with the deployment, in one step with its
    /// acceptance, and never looked at.
    pub request: Option<String>,
    /// How long to wait for another deployment of the app; zero refuses at once.
    pub lock_wait: Duration,
    /// When to give up; by default, time to pull and `readiness.start_period + deadline`.
    pub deadline: Option<Duration>,
    /// Things the user should know, found while reading what they wrote.
    pub notes: Vec<String>,
}

impl DeployRequest {
    /// A wish of `actor` with nothing special about it: as many instances as before, refused at once while another
    /// deployment of the app is under way, given up when the release had its time to become ready.
    #[must_use]
    pub fn new(app: &AppName, spec: AppSpec, actor: &str) -> Self {
        Self {
            app: app.clone(),
            spec,
            replicas: None,
            protected: None,
            ingress: None,
            auth: None,
            actor: actor.to_owned(),
            message: None,
            request: None,
            lock_wait: Duration::ZERO,
            deadline: None,
            notes: Vec::new(),
        }
    }
}

/// A deployment that was accepted: it is stored, and goes on whatever happens to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that is to serve.
    pub release: ReleaseId,
    /// The number of the wish.
    pub revision: u64,
}

/// Which release to go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackTarget {
    /// The one before.
    Previous,
    /// So many before; 1 is the one before.
    Steps(u16),
    /// This one.
    Release(ReleaseId),
    /// The one this deployment brought.
    Deployment(DeploymentId),
}

/// A wish to make an earlier release serve again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackRequest {
    /// The app.
    pub app: AppName,
    /// Where to.
    pub to: RollbackTarget,
    /// Who asks.
    pub actor: String,
    /// What they say about it.
    pub message: Option<String>,
    /// As in [`DeployRequest`].
    pub request: Option<String>,
    /// How long to wait for another deployment of the app; zero refuses at once.
    pub lock_wait: Duration,
}

impl RollbackRequest {
    /// A wish of `actor` with nothing special about it, refused at once while a deployment of the app is under way.
    #[must_use]
    pub fn new(app: &AppName, to: RollbackTarget, actor: &str) -> Self {
        let (app, actor) = (app.clone(), actor.to_owned());
        Self { app, to, actor, message: None, request: None, lock_wait: Duration::ZERO }
    }
}

/// What a deployment would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedDeploy {
    /// How.
    pub strategy: StrategyName,
    /// Why that way, when another one was asked for or would be usual.
    pub reason: Option<String>,
    /// Every step.
    pub plan: Plan,
}

impl Shared {
    pub(crate) async fn deploy(self: &Arc<Self>, request: DeployRequest) -> Result<Accepted, EngineError> {
        let id = random(ReleaseId::random())?;
        let release = ReleaseRecord {
            id: id.clone(),
            app: request.app.clone(),
            deployment: None,
            created_at: self.clock.wall(),
            adopted: None,
            prepared: None,
            spec: (&request.spec).into(),
        };
        self.claims.check(&request.app, &request.spec)?;
        let status = self.entry(&request.app).map(|entry| Arc::clone(&entry.status.borrow()));
        let kind = self.check_features(request.ingress, status.as_deref(), &request.spec)?;
        self.check_certs(&request.spec)?;
        self.check_there(kind).await?;
        let known = self.entry(&request.app).is_some();
        let entry = self.entry_or_new(&request.app);
        if let Some(auth) = request.auth.clone() {
            self.logins.lock().insert(id.clone(), auth);
        }
        let accepted = self.begin(&entry, &request, id.clone(), Some(release)).await;
        if accepted.is_err() {
            self.logins.lock().remove(&id);
            if !known {
                self.forget_unborn(&request.app);
            }
        }
        accepted
    }

    pub(crate) async fn rollback(self: &Arc<Self>, asked: RollbackRequest) -> Result<Accepted, EngineError> {
        let RollbackRequest { app, to, actor, message, request, lock_wait } = asked;
        let entry = self.entry(&app).ok_or_else(|| EngineError::UnknownApp(app.clone()))?;
        let status = Arc::clone(&entry.status.borrow());
        let release = self.rollback_release(&app, &to, &status)?;
        let stored = self.stored_spec(&release).await.map_err(EngineError::Store)?;
        let mut spec = stored.ok_or_else(|| EngineError::NothingToRollBackTo(app.clone()))?;
        if spec.strategy == Some(StrategyName::Canary) {
            // What has served before need not be tried, and whoever goes back is in a hurry.
            spec.strategy = None;
        }
        self.check_features(None, Some(&status), &spec)?;
        // One place is not made several by what came after it.
        let replicas = (spec.runtime() == RuntimeKind::External).then_some(1);
        let wish =
            DeployRequest { message, request, lock_wait, replicas, ..DeployRequest::new(&app, spec, &actor) };
        self.begin(&entry, &wish, release, None).await
    }

    fn rollback_release(
        &self,
        app: &AppName,
        to: &RollbackTarget,
        status: &AppStatus,
    ) -> Result<ReleaseId, EngineError> {
        let nothing = || EngineError::NothingToRollBackTo(app.clone());
        match to {
            RollbackTarget::Previous => status.kept.first().cloned().ok_or_else(nothing),
            RollbackTarget::Steps(steps) => {
                status.kept.get(usize::from(steps.saturating_sub(1))).cloned().ok_or_else(nothing)
            }
            RollbackTarget::Release(release) => Ok(release.clone()),
            RollbackTarget::Deployment(id) => {
                let known =
                    self.deployments.read().get(id).filter(|deployment| deployment.app == *app).cloned();
                known
                    .map(|deployment| deployment.release)
                    .ok_or_else(|| EngineError::UnknownDeployment(id.clone()))
            }
        }
    }

    /// Asks the reconciler, and waits for its turn where the user wants to.
    async fn begin(
        &self,
        entry: &AppEntry,
        request: &DeployRequest,
        release: ReleaseId,
        new: Option<ReleaseRecord>,
    ) -> Result<Accepted, EngineError> {
        let give_up = tokio::time::Instant::now() + request.lock_wait;
        let mut status = entry.status.clone();
        loop {
            let edit = self.deploy_edit(entry, request, &release, new.clone())?;
            let id = edit.deployment.id.clone();
            match ask(&entry.mailbox, Edit::Deploy(Box::new(edit)), &request.actor).await {
                Ok(revision) => return Ok(Accepted { deployment: id, release, revision }),
                Err(busy @ EngineError::Busy { .. }) => {
                    let left = give_up.saturating_duration_since(tokio::time::Instant::now());
                    if left.is_zero() {
                        return Err(busy);
                    }
                    let free = status.wait_for(|status| status.rollout.is_none());
                    // Either it is free, or it is time to look again; a closed channel shows at the next question.
                    tokio::time::timeout(left.min(QUEUE_CHECK), free).await.map(|_| ()).ok();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn deploy_edit(
        &self,
        entry: &AppEntry,
        request: &DeployRequest,
        release: &ReleaseId,
        new: Option<ReleaseRecord>,
    ) -> Result<DeployEdit, EngineError> {
        let status = Arc::clone(&entry.status.borrow());
        let (strategy, strategy_reason) =
            choose_strategy(self, &request.spec, Some(&status), status.fixed_port)?;
        let id = random(DeploymentId::random())?;
        let now = self.clock.wall();
        let replicas = request.replicas.unwrap_or(status.replicas);
        let limit = request.deadline.unwrap_or_else(|| time_limit(strategy, &request.spec, replicas));
        let deployment = DeploymentRecord {
            id: id.clone(),
            app: request.app.clone(),
            revision: status.revision,
            release: release.clone(),
            previous: status.release.clone(),
            status: DeploymentStatus::Running,
            created_at: now,
            finished_at: None,
            strategy,
            strategy_reason: strategy_reason.clone(),
            actor: request.actor.clone(),
            message: request.message.clone(),
            request: request.request.clone(),
            error: None,
            notes: request
                .notes
                .iter()
                .cloned()
                .chain(strategy_reason.map(|why| format!("strategy recreate: {why}")))
                .collect(),
            receipt: None,
        };
        Ok(DeployEdit {
            deployment,
            release: new.map(|release| ReleaseRecord { deployment: Some(id), ..release }),
            replicas: request.replicas,
            protected: request.protected,
            ingress: request.ingress,
            deadline: later(now, limit),
        })
    }

    pub(crate) fn plan(
        &self,
        app: &AppName,
        spec: &AppSpec,
        replicas: Option<u16>,
        ingress: Option<IngressKind>,
    ) -> Result<PlannedDeploy, EngineError> {
        self.claims.check(app, spec)?;
        let status = self.entry(app).map(|entry| Arc::clone(&entry.status.borrow()));
        self.check_features(ingress, status.as_deref(), spec)?;
        self.check_certs(spec)?;
        let fixed = status.as_ref().and_then(|status| status.fixed_port);
        let (strategy, reason) = choose_strategy(self, spec, status.as_deref(), fixed)?;
        let new = random(ReleaseId::random())?;
        let known = status.as_ref().map_or(1, |status| status.replicas);
        let replicas = replicas.unwrap_or(known);
        let old = status.as_ref().and_then(|status| status.release.as_ref());
        let units =
            status.iter().flat_map(|status| &status.units).filter(|unit| Some(unit.id.release()) == old);
        let mut units: Vec<UnitInput> = units.map(planned_unit).collect();
        units.extend((1..=replicas).map(|slot| UnitInput {
            id: nd_types::UnitId::new(app, &new, slot),
            readiness: UnitReadiness::Absent,
            routed: false,
            drained: true,
        }));
        let input = PlanInput {
            new: &new,
            old,
            switched: false,
            mixed: 0,
            canary: Some(&spec.rollout.canary),
            watched: 0,
            promoted: false,
            prepared: false,
            replicas,
            old_replicas: known,
            units,
        };
        let planner = self.registry.strategies().get(&strategy);
        let plan = planner.map(|planner| planner.plan(&input)).unwrap_or_default();
        Ok(PlannedDeploy { strategy, reason, plan })
    }

    fn entry_or_new(self: &Arc<Self>, app: &AppName) -> AppEntry {
        let record = AppRecord::new(app.clone(), self.clock.wall());
        self.entry(app).unwrap_or_else(|| self.start_app(AppModel::new(record, Vec::new(), None)))
    }

    /// An app whose first deployment was refused never existed.
    fn forget_unborn(&self, app: &AppName) {
        let mut apps = self.apps.write();
        let unborn = apps.get(app).filter(|entry| entry.status.borrow().revision == 0).cloned();
        if let Some(entry) = unborn {
            apps.remove(app);
            // It finds that nobody knows it, and ends.
            entry.mailbox.try_send(Message::Look).ok();
        }
    }

    async fn stored_spec(&self, release: &ReleaseId) -> PortResult<Option<AppSpec>> {
        let snapshot = within("read the stored releases", LOAD, self.store.load()).await?;
        Ok(snapshot.records.iter().find_map(|record| match record {
            Record::Release(stored) if stored.id == *release => Some(AppSpec::from(&stored.spec)),
            _ => None,
        }))
    }
}

fn planned_unit(view: &crate::model::UnitView) -> UnitInput {
    let readiness = if view.ready { UnitReadiness::Ready } else { UnitReadiness::Stopped };
    UnitInput { id: view.id.clone(), readiness, routed: view.routed, drained: !view.routed }
}

fn random<T>(id: Result<T, impl std::fmt::Display>) -> Result<T, EngineError> {
    id.map_err(|error| {
        let kind = crate::ports::PortErrorKind::Internal;
        EngineError::Store(crate::ports::PortError::new(kind, format!("make an id: {error}")))
    })
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(now)
}
