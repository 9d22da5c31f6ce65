//! Reading back what was stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nd_supervise::{Clock, TaskSet};
use nd_types::{AppName, DaemonId, Service};
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use super::BuildError;
use super::bus::EventBus;
use super::claims::Claims;
use super::shared::{self, Shared};
use crate::certs::{self, CertSettings};
use crate::model::AppModel;
use crate::ports::{LogCollector, PortError, StateStore};
use crate::records::{
    AppRecord, CertRecord, DaemonRecord, DeploymentRecord, Record, ReleaseRecord, RunIntent,
};
use crate::registry::Registry;
use crate::routebook::Books;
use crate::spec::AppSpec;

/// One app as it was stored.
pub(crate) struct StoredApp {
    pub(crate) record: AppRecord,
    pub(crate) releases: Vec<ReleaseRecord>,
    pub(crate) deployment: Option<DeploymentRecord>,
}

/// Reads the store and makes what every part of the engine shares.
pub(crate) async fn load(
    registry: Registry,
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    collector: Option<Arc<dyn LogCollector>>,
) -> Result<Shared, BuildError> {
    let snapshot = store.load().await?;
    let sorted = Sorted::of(snapshot.records);
    let (daemon, told) = match sorted.daemon {
        Some(daemon) => (daemon.id, daemon.told),
        None => (DaemonId::random().map_err(|error| BuildError::Random(error.to_string()))?, 0),
    };
    let (bus, told) = EventBus::above(snapshot.last_event, told);
    store.append(vec![Record::Daemon(DaemonRecord { id: daemon.clone(), told })]).await?;
    let tombstones = tombstones(&sorted.apps);
    let claims = Claims::default();
    let stored: Vec<StoredApp> = sorted
        .apps
        .into_iter()
        .map(|record| assemble(record, &sorted.releases, &sorted.deployments))
        // A removal is complete when the last release is forgotten; until then it goes on.
        .filter(|app| app.record.run != RunIntent::Removed || !app.releases.is_empty())
        .collect();
    let services = inherited(&registry).await;
    let mut known = BTreeMap::new();
    let mut resting = Vec::new();
    for app in stored {
        if app.record.run != RunIntent::Removed {
            claim(&claims, &app);
        }
        let service = services.iter().find(|service| service.app == app.record.app);
        let mut model = AppModel::new(app.record, app.releases, app.deployment);
        model.inherit(service.map_or(&[], |service| &service.backends));
        let (entry, desk) = shared::open(&model);
        known.insert(model.app().clone(), entry);
        resting.push((model, desk));
    }
    Ok(Shared {
        books: Books::new(&registry, &known.keys().cloned().collect::<Vec<_>>()),
        certs: certs::open(CertSettings::default(), sorted.certs),
        registry,
        store,
        clock,
        collector,
        daemon,
        bus,
        tasks: TaskSet::new("engine"),
        stop: CancellationToken::new(),
        claims,
        apps: RwLock::new(known),
        tombstones: Mutex::new(tombstones),
        deployments: RwLock::new(sorted.deployments.into_iter().map(|d| (d.id.clone(), d)).collect()),
        logins: Mutex::new(BTreeMap::new()),
        resting: Mutex::new(resting),
        fail_point: None,
    })
}

fn tombstones(apps: &[AppRecord]) -> BTreeSet<AppName> {
    apps.iter().filter(|app| app.run == RunIntent::Removed).map(|app| app.app.clone()).collect()
}

/// What every ingress that has outlived its daemon serves; nothing of one that cannot say.
async fn inherited(registry: &Registry) -> Vec<Service> {
    let mut services = Vec::new();
    for (kind, ingress) in registry.ingresses() {
        match ingress.serving().await {
            Ok(state) => services.extend(state.services.iter().cloned()),
            Err(error) => tracing::warn!(%kind, %error, "ask the ingress what it serves"),
        }
    }
    services
}

/// One app's model as it is stored now; `None` when it is stored nowhere.
pub(crate) async fn reload(shared: &Shared, app: &AppName) -> Result<Option<AppModel>, PortError> {
    let sorted = Sorted::of(shared.store.load().await?.records);
    let record = sorted.apps.into_iter().find(|record| record.app == *app);
    let stored = record.map(|record| assemble(record, &sorted.releases, &sorted.deployments));
    Ok(stored.map(|stored| AppModel::new(stored.record, stored.releases, stored.deployment)))
}

#[derive(Default)]
struct Sorted {
    daemon: Option<DaemonRecord>,
    apps: Vec<AppRecord>,
    releases: Vec<ReleaseRecord>,
    deployments: Vec<DeploymentRecord>,
    certs: Vec<CertRecord>,
}

impl Sorted {
    fn of(records: Vec<Record>) -> Self {
        let mut sorted = Self::default();
        for record in records {
            match record {
                Record::Daemon(daemon) => sorted.daemon = Some(daemon),
                Record::App(app) => sorted.apps.push(*app),
                Record::Release(release) => sorted.releases.push(*release),
                Record::Deployment(deployment) => sorted.deployments.push(*deployment),
                Record::Cert(cert) => sorted.certs.push(*cert),
                Record::ReleaseGone(_) | Record::Event(_) => {}
            }
        }
        sorted
    }
}

fn assemble(record: AppRecord, releases: &[ReleaseRecord], deployments: &[DeploymentRecord]) -> StoredApp {
    let releases = releases.iter().filter(|release| release.app == record.app).cloned().collect();
    let of_app = deployments.iter().filter(|deployment| deployment.app == record.app);
    let deployment = match &record.rollout {
        Some(rollout) => of_app.clone().find(|deployment| deployment.id == rollout.deployment),
        None => of_app.max_by_key(|deployment| deployment.order()),
    };
    StoredApp { deployment: deployment.cloned(), releases, record }
}

/// What was stored was claimed without conflict when it was accepted.
fn claim(claims: &Claims, app: &StoredApp) {
    let record = &app.record;
    let wanted = [record.active.as_ref(), record.rollout.as_ref().map(|rollout| &rollout.release)];
    for release in app.releases.iter().filter(|release| wanted.contains(&Some(&release.id))) {
        if let Err(conflict) =
            claims.take(&record.app, &record.domains.applied(&release.id, &AppSpec::from(&release.spec)))
        {
            tracing::warn!(app = %record.app, %conflict, "a stored route is no longer free");
        }
    }
}
