//! A world for engines: runtimes, an ingress, a network and a store that outlive them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use nd_bluegreen::{BlueGreen, Recreate};
use nd_core::engine::{Accepted, DeployRequest, EngineBuilder, EngineError, EngineHandle, FailPoint};
use nd_core::events::{Event, StoredEvent};
use nd_core::model::AppStatus;
use nd_core::ports::{HistoryQuery, StateStore};
use nd_core::records::{DeploymentRecord, DeploymentStatus};
use nd_core::registry::RegistryBuilder;
use nd_core::spec::{AppSpec, CommandSpec, HostPortSpec, ImageSpec, VolumeSource, VolumeSpec, Workload};
use nd_core::{Engine, Registry};
use nd_supervise::{CancellationToken, TaskHandle, TaskSet};
use nd_testkit::fake::{Behaviour, Cable, FakeIngress, FakeNetwork, FakeProbe, FakeRuntime};
use nd_testkit::{MemoryStore, TestClock};
use nd_types::{AppName, HostPortProtocol, IngressKind, ReleaseId, RuntimeKind, UnitId};

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn Error>>;

/// Longer than anything an engine waits for here; paused time makes it free.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) docker: Arc<FakeRuntime>,
    pub(crate) process: Arc<FakeRuntime>,
    pub(crate) ingress: Arc<FakeIngress>,
    /// Another one, which can do less.
    pub(crate) caddy: Arc<FakeIngress>,
    pub(crate) network: FakeNetwork,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<TestClock>,
    tasks: TaskSet,
}

/// An engine at work.
pub(crate) struct Daemon {
    pub(crate) engine: EngineHandle,
    pub(crate) cable: Cable,
    shutdown: CancellationToken,
    task: TaskHandle<()>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (network, clock) = (FakeNetwork::default(), Arc::new(TestClock::new()));
        Self {
            docker: Arc::new(FakeRuntime::new(RuntimeKind::Docker, &network, clock.clone())),
            process: Arc::new(FakeRuntime::new(RuntimeKind::Process, &network, clock.clone())),
            ingress: Arc::new(FakeIngress::new()),
            caddy: Arc::new(FakeIngress::of(IngressKind::Caddy, &[])),
            network,
            store: MemoryStore::new(),
            clock,
            tasks: TaskSet::new("daemons"),
        }
    }

    /// Starts a daemon.
    pub(crate) async fn daemon(&self) -> TestResult<Daemon> {
        self.daemon_with(Arc::new(self.store.clone()), Arc::new(|_: &str| {}), Cable::new()).await
    }

    pub(crate) async fn daemon_with(
        &self,
        store: Arc<dyn StateStore>,
        fail_point: FailPoint,
        cable: Cable,
    ) -> TestResult<Daemon> {
        let registry = Registry::builder()
            .runtime(cable.runtime(self.docker.clone()))
            .runtime(cable.runtime(self.process.clone()))
            .ingress(cable.ingress(self.ingress.clone()))
            .ingress(cable.ingress(self.caddy.clone()))
            .default_ingress(IngressKind::Embedded)
            .probe(Arc::new(FakeProbe::new(&self.network)))
            .strategy(Arc::new(BlueGreen))
            .strategy(Arc::new(Recreate))
            .build()?;
        let engine = Engine::builder(registry)
            .store(cable.store(store))
            .clock(self.clock.clone())
            .fail_point(fail_point)
            .build()
            .await?;
        self.run(engine, cable)
    }
}

impl World {
    /// Its adapters.
    pub(crate) fn registry(&self) -> RegistryBuilder {
        Registry::builder()
            .runtime(self.docker.clone())
            .runtime(self.process.clone())
            .ingress(self.ingress.clone())
            .probe(Arc::new(FakeProbe::new(&self.network)))
            .strategy(Arc::new(BlueGreen))
            .strategy(Arc::new(Recreate))
    }

    /// Starts a daemon of one's own making, with the store of this world.
    pub(crate) async fn start(&self, builder: EngineBuilder) -> TestResult<Daemon> {
        self.run(builder.store(Arc::new(self.store.clone())).build().await?, Cable::new())
    }

    fn run(&self, engine: Engine, cable: Cable) -> TestResult<Daemon> {
        let (handle, shutdown) = (engine.handle(), CancellationToken::new());
        let until = shutdown.clone();
        let task = self.tasks.spawn_with("daemon", async move { engine.run(until).await });
        Ok(Daemon { engine: handle, cable, shutdown, task })
    }
}

impl Daemon {
    /// Ends it as SIGTERM does.
    pub(crate) async fn shut_down(self) -> TestResult {
        self.shutdown.cancel();
        within(self.task).await?.map_err(Into::into)
    }

    /// Ends it as SIGKILL does.
    pub(crate) fn kill(self) {
        self.cable.cut();
    }

    /// Deploys, and waits until the deployment has ended, well or not.
    pub(crate) async fn deploy(&self, app: &AppName, spec: AppSpec) -> TestResult<DeploymentRecord> {
        // In a box: a spec is long, and tests hold several of them.
        Box::pin(self.deploy_as(request(app, spec))).await
    }

    pub(crate) async fn deploy_as(&self, request: DeployRequest) -> TestResult<DeploymentRecord> {
        let accepted = self.engine.deploy(request.clone()).await?;
        self.ended(&request.app, &accepted).await
    }

    /// Deploys and insists that it ends well; answers the release that serves.
    pub(crate) async fn serve(&self, app: &AppName, spec: AppSpec) -> TestResult<ReleaseId> {
        let ended = self.deploy(app, spec).await?;
        assert_eq!(ended.status, DeploymentStatus::Succeeded, "{:?}", ended.error);
        Ok(ended.release)
    }

    /// Waits until a deployment has ended and the app has settled.
    pub(crate) async fn ended(&self, app: &AppName, accepted: &Accepted) -> TestResult<DeploymentRecord> {
        self.engine.settled(app, accepted.revision, PATIENCE).await?;
        self.engine.deployment(&accepted.deployment).ok_or_else(|| "the deployment is not known".into())
    }

    /// Waits until the app is as wished in `revision`.
    pub(crate) async fn settled(&self, app: &AppName, revision: u64) -> TestResult<Arc<AppStatus>> {
        let settled = self.engine.settled(app, revision, PATIENCE).await?;
        settled.ok_or_else(|| "the app is gone".into())
    }

    /// Waits until the app's status is as `wanted` says.
    pub(crate) async fn until(
        &self,
        app: &AppName,
        wanted: impl Fn(&AppStatus) -> bool,
    ) -> TestResult<Arc<AppStatus>> {
        let poll = async {
            loop {
                if let Some(status) = self.engine.status(app).filter(|status| wanted(status)) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        match within(poll).await {
            Ok(status) => Ok(status),
            Err(_) => Err(format!("never came true; last seen: {:?}", self.engine.status(app)).into()),
        }
    }

    /// Every event so far, oldest first.
    pub(crate) async fn events(&self) -> TestResult<Vec<StoredEvent>> {
        let query = HistoryQuery { limit: usize::MAX, ..HistoryQuery::default() };
        let mut events = self.engine.events(&query).await?;
        events.reverse();
        Ok(events)
    }

    /// How many events so far are as `wanted` says.
    pub(crate) async fn count(&self, wanted: impl Fn(&Event) -> bool) -> TestResult<usize> {
        Ok(self.events().await?.iter().filter(|event| wanted(&event.what)).count())
    }
}

/// Waits for what must come.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> TestResult<T> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| "waited in vain".into())
}

/// Lets some time go by; nothing is waited for.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

pub(crate) fn unit(app: &AppName, release: &ReleaseId, slot: u16) -> UnitId {
    UnitId::new(app, release, slot)
}

/// A container that listens on port 3000 and does what `script` says.
pub(crate) fn web(script: &str) -> AppSpec {
    let image = ImageSpec::new("shop:1");
    let mut spec = AppSpec::new(Workload::Image(image));
    spec.port = "3000".parse().ok();
    spec.env.insert(Behaviour::VARIABLE.to_owned(), script.to_owned());
    spec
}

/// A plain process that does what `script` says.
pub(crate) fn command(script: &str) -> AppSpec {
    let argv = vec!["node".to_owned(), "server.js".to_owned()];
    let command = CommandSpec { argv, cwd: "/srv".into(), user: None, path: None };
    AppSpec { workload: Workload::Command(command), port: None, ..web(script) }
}

/// An app of which two versions must never run at once.
pub(crate) fn with_volume(spec: AppSpec) -> AppSpec {
    let source = VolumeSource::Named("data".to_owned());
    AppSpec { volumes: vec![VolumeSpec { source, target: "/data".to_owned(), read_only: false }], ..spec }
}

/// An app on port 3000 of the host, which it has itself if `direct` says so.
pub(crate) fn on_host_port(direct: bool) -> AppSpec {
    let port = HostPortSpec {
        bind: "127.0.0.1:3000".parse().unwrap(),
        port: "3000".parse().unwrap(),
        protocol: HostPortProtocol::Http,
    };
    AppSpec { host_ports: vec![port], direct, ..web("") }
}

pub(crate) fn request(app: &AppName, spec: AppSpec) -> DeployRequest {
    DeployRequest::new(app, spec, "tester")
}

pub(crate) fn replicas(count: u16, request: DeployRequest) -> DeployRequest {
    DeployRequest { replicas: Some(count), ..request }
}

/// The refusal of a wish that must be refused.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, EngineError>) -> EngineError {
    result.unwrap_err()
}
