//! The handle of an engine: every verb, and every view.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use nd_types::{AppName, DaemonId, DeploymentId, EdgeState, Gate, IngressKind, RuntimeKind, UnitId};
use tokio::sync::broadcast;

use super::deploy::{Accepted, DeployRequest, PlannedDeploy, RollbackRequest};
use super::error::EngineError;
use super::follow::follow;
use super::order;
use super::reconciler::ask;
use super::shared::{Message, Shared};
use crate::events::StoredEvent;
use crate::model::edit::Edit;
use crate::model::{AppPhase, AppStatus};
use crate::ports::{HistoryQuery, PortError, PortErrorKind, PortResult, UnitStats, within};
use crate::records::DeploymentRecord;
use crate::spec::AppSpec;

/// How long reading a unit's figures may take.
const STATS: Duration = Duration::from_secs(5);

/// Edits and shows what should be. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) shared: Arc<Shared>,
}

impl EngineHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The id that this engine's units are labelled with.
    #[must_use]
    pub fn daemon(&self) -> &DaemonId {
        &self.shared.daemon
    }

    /// Makes a new release of an app serve. Returns when the wish is stored.
    ///
    /// # Errors
    /// [`EngineError`] says what stands in the way; nothing has changed then.
    pub async fn deploy(&self, request: DeployRequest) -> Result<Accepted, EngineError> {
        self.shared.deploy(request).await
    }

    /// What [`deploy`](Self::deploy) would do.
    ///
    /// # Errors
    /// As for a deployment.
    pub fn plan(
        &self,
        app: &AppName,
        spec: &AppSpec,
        replicas: Option<u16>,
        ingress: Option<IngressKind>,
    ) -> Result<PlannedDeploy, EngineError> {
        self.shared.plan(app, spec, replicas, ingress)
    }

    /// Makes an earlier release serve again, whole: image or command, environment, routes and limits.
    ///
    /// # Errors
    /// When there is none, or something else is under way.
    pub async fn rollback(&self, request: RollbackRequest) -> Result<Accepted, EngineError> {
        self.shared.rollback(request).await
    }

    /// Ends a deployment under way and goes back.
    ///
    /// # Errors
    /// When it is not under way.
    pub async fn cancel(&self, id: &DeploymentId, actor: &str) -> Result<u64, EngineError> {
        let deployment = self.deployment(id).ok_or_else(|| EngineError::UnknownDeployment(id.clone()))?;
        self.edit(&deployment.app, Edit::Cancel(id.clone()), actor).await
    }

    /// Lets the release that a deployment tries with some of the clients take over at once.
    ///
    /// # Errors
    /// When it is not under way, or tries nothing.
    pub async fn promote(&self, id: &DeploymentId, actor: &str) -> Result<u64, EngineError> {
        let deployment = self.deployment(id).ok_or_else(|| EngineError::UnknownDeployment(id.clone()))?;
        self.edit(&deployment.app, Edit::Promote(id.clone()), actor).await
    }

    /// Runs a stopped app. Answers the number of the wish, for [`settled`](Self::settled).
    ///
    /// # Errors
    /// When the app is unknown or has nothing to run.
    pub async fn start(&self, app: &AppName, actor: &str) -> Result<u64, EngineError> {
        self.edit(app, Edit::Start, actor).await
    }

    /// Stops every instance, after its requests have finished.
    ///
    /// # Errors
    /// When the app is unknown.
    pub async fn stop(&self, app: &AppName, actor: &str) -> Result<u64, EngineError> {
        self.edit(app, Edit::Stop, actor).await
    }

    /// Starts every instance anew, one after the other.
    ///
    /// # Errors
    /// When the app is unknown or has nothing to run.
    pub async fn restart(&self, app: &AppName, actor: &str) -> Result<u64, EngineError> {
        self.edit(app, Edit::Restart, actor).await
    }

    /// Starts every instance anew so that nobody notices: one after the other, and an only one is stood in for
    /// meanwhile, unless two of them cannot run side by side.
    ///
    /// # Errors
    /// When the app is unknown or has nothing to run.
    pub async fn reload(&self, app: &AppName, actor: &str) -> Result<u64, EngineError> {
        self.edit(app, Edit::Reload, actor).await
    }

    /// Stops every app gracefully without changing what should be: the next engine starts them again. Answers the apps
    /// that did not stop within `within`.
    pub async fn suspend(&self, within: Duration) -> Vec<AppName> {
        let give_up = tokio::time::Instant::now() + within;
        let apps = self.shared.apps.read().clone();
        let needs = apps.iter().map(|(app, entry)| {
            let spec = entry.status.borrow().spec.clone();
            let needs = spec.iter().flat_map(|spec| &spec.depends_on).map(|needed| needed.app.clone());
            (app.clone(), needs.collect())
        });
        let mut running = Vec::new();
        for group in order::stop_order(&needs.collect()) {
            let group: Vec<_> = group.iter().filter_map(|app| apps.get_key_value(app)).collect();
            for (_, entry) in &group {
                // A reconciler that has ended has nothing to stop.
                entry.mailbox.send(Message::Suspend).await.ok();
            }
            for (app, entry) in group {
                let stopped = |status: &Arc<AppStatus>| status.settled && status.phase == AppPhase::Stopped;
                let mut status = entry.status.clone();
                if tokio::time::timeout_at(give_up, status.wait_for(stopped)).await.is_err() {
                    running.push(app.clone());
                }
            }
        }
        running
    }

    /// Changes the number of instances.
    ///
    /// # Errors
    /// When the app is unknown.
    pub async fn scale(&self, app: &AppName, replicas: u16, actor: &str) -> Result<u64, EngineError> {
        self.edit(app, Edit::Scale(replicas), actor).await
    }

    /// Lets requests of an app come through, wait, or be told to come back later.
    ///
    /// # Errors
    /// When the app is unknown, or what brings its requests cannot let them wait.
    pub async fn set_gate(&self, app: &AppName, gate: Gate, actor: &str) -> Result<u64, EngineError> {
        self.shared.check_gate(self.status(app).as_deref(), gate)?;
        self.edit(app, Edit::Gate(gate), actor).await
    }

    /// What the ingress serves: every route, and the units behind it.
    ///
    /// # Errors
    /// When the ingress does not say, or not in time.
    pub async fn edge(&self) -> PortResult<Arc<EdgeState>> {
        self.shared.edge().await
    }

    /// Has another ingress bring an app's requests: the new one serves it first, then the one before lets go. No instance is
    /// started anew. Answers the number of the wish.
    ///
    /// # Errors
    /// When the app is unknown, or the ingress is not there or cannot do what the app asks for.
    pub async fn set_ingress(
        &self,
        app: &AppName,
        kind: IngressKind,
        actor: &str,
    ) -> Result<u64, EngineError> {
        let status = self.status(app).ok_or_else(|| EngineError::UnknownApp(app.clone()))?;
        if let Some(spec) = &status.spec {
            self.shared.check_features(Some(kind), Some(&status), spec)?;
        }
        self.shared.check_there(kind).await?;
        self.edit(app, Edit::Ingress(kind), actor).await
    }

    /// Whether this ingress is part of the engine and could take routes now.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub async fn check_ingress(&self, kind: IngressKind) -> Result<(), EngineError> {
        self.shared.check_there(kind).await
    }

    /// The ingress that brings an app's requests.
    #[must_use]
    pub fn ingress_of(&self, status: &AppStatus) -> IngressKind {
        status.ingress.unwrap_or_else(|| self.shared.registry.default_ingress())
    }

    /// Removes the app with its instances and releases; one that is protected only with `force`.
    ///
    /// # Errors
    /// When the app is unknown.
    pub async fn remove(&self, app: &AppName, force: bool, actor: &str) -> Result<u64, EngineError> {
        self.edit(app, Edit::Remove { force }, actor).await
    }

    /// The app as it is now.
    #[must_use]
    pub fn status(&self, app: &AppName) -> Option<Arc<AppStatus>> {
        self.shared
            .entry(app)
            .map(|entry| Arc::clone(&entry.status.borrow()))
            .filter(|status| status.revision > 0 || status.release.is_some())
    }

    /// Every app as it is now, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<AppStatus>> {
        let apps = self.shared.apps.read();
        let all = apps.values().map(|entry| Arc::clone(&entry.status.borrow()));
        all.filter(|status| status.revision > 0 || status.release.is_some()).collect()
    }

    /// Waits until the app is as wished in `revision` or later, or will not get closer by itself. `None`: it is gone.
    ///
    /// # Errors
    /// [`EngineError::Timeout`]; the work goes on.
    pub async fn settled(
        &self,
        app: &AppName,
        revision: u64,
        within: Duration,
    ) -> Result<Option<Arc<AppStatus>>, EngineError> {
        let settled = self.reached(app, within, |status| status.revision >= revision && status.settled);
        Ok(settled.await?.filter(|_| self.shared.entry(app).is_some()))
    }

    /// Waits until the app's status is as `wanted` says. `None`: it is gone.
    pub(super) async fn reached(
        &self,
        app: &AppName,
        within: Duration,
        wanted: impl Fn(&AppStatus) -> bool,
    ) -> Result<Option<Arc<AppStatus>>, EngineError> {
        let Some(mut entry) = self.shared.entry(app) else { return Ok(None) };
        let reached = entry.status.wait_for(|status| wanted(status));
        match tokio::time::timeout(within, reached).await {
            Ok(Ok(status)) => Ok(Some(Arc::clone(&status))),
            Ok(Err(_)) => Ok(None),
            Err(_) => Err(EngineError::Timeout { app: app.clone(), within }),
        }
    }

    /// Deployments of one app or all, newest first. Those of one app are in the order they began in, whatever the clock
    /// did meanwhile.
    #[must_use]
    pub fn deployments(&self, app: Option<&AppName>) -> Vec<DeploymentRecord> {
        let known = self.shared.deployments.read();
        let mut found: Vec<_> =
            known.values().filter(|d| app.is_none_or(|app| d.app == *app)).cloned().collect();
        found.sort_by(|a, b| match app {
            Some(_) => b.order().cmp(&a.order()).then_with(|| a.id.cmp(&b.id)),
            None => b.created_at.cmp(&a.created_at).then_with(|| b.order().cmp(&a.order())),
        });
        found
    }

    /// One deployment.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<DeploymentRecord> {
        self.shared.deployments.read().get(id).cloned()
    }

    /// Stored events, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>> {
        self.shared.bus.flush(&*self.shared.store).await;
        self.shared.store.events(query).await
    }

    /// Events as they happen. Who reads too slowly is told how many were missed, and finds them in [`events`](Self::events).
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.shared.bus.subscribe()
    }

    /// Every event of a deployment from its start, then live, up to its last one.
    pub async fn follow(&self, id: &DeploymentId) -> Pin<Box<dyn Stream<Item = Arc<StoredEvent>> + Send>> {
        Box::pin(follow(Arc::clone(&self.shared), id.clone()).await)
    }

    /// What a unit uses now.
    ///
    /// # Errors
    /// When the unit is unknown or its runtime does not answer in time.
    pub async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats> {
        let missing = || PortError::new(PortErrorKind::NotFound, format!("{unit} is not known"));
        let kind = self
            .status(unit.app())
            .and_then(|status| Some(status.spec.as_ref()?.runtime()))
            .ok_or_else(missing)?;
        let runtime = self.shared.registry.runtime(kind).ok_or_else(missing)?;
        within("read the figures of a unit", STATS, runtime.stats(unit)).await
    }

    /// Where the usual ingress serves HTTP.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.address_of(None)
    }

    /// Where the ingress of an app serves HTTP.
    #[must_use]
    pub fn http_addr_of(&self, status: &AppStatus) -> SocketAddr {
        self.address_of(status.ingress)
    }

    fn address_of(&self, kind: Option<IngressKind>) -> SocketAddr {
        let registry = &self.shared.registry;
        let ingress = registry.ingress(kind).or_else(|_| registry.ingress(None));
        // The usual one is always there.
        ingress.map_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 80)), |ingress| ingress.http_addr())
    }

    /// The names of all runtimes of this engine.
    #[must_use]
    pub fn runtimes(&self) -> BTreeSet<RuntimeKind> {
        self.shared.registry.runtimes().map(|(kind, _)| kind).collect()
    }

    pub(super) async fn edit(&self, app: &AppName, edit: Edit, actor: &str) -> Result<u64, EngineError> {
        let known = self.shared.entry(app).filter(|_| self.status(app).is_some());
        let entry = known.ok_or_else(|| EngineError::UnknownApp(app.clone()))?;
        ask(&entry.mailbox, edit, actor).await
    }
}
