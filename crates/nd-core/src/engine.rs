//! The engine: one reconciler per app, one book of routes, and the handle that edits what should be.

mod actions;
mod adoption;
mod boot;
mod bus;
mod certificates;
mod checks;
mod choose;
mod claims;
mod deploy;
mod diagnose;
mod domain_look;
mod domains;
mod error;
mod follow;
mod handle;
mod ingresses;
mod order;
mod question;
mod readiness;
mod reconciler;
mod shared;
mod stopping;
mod urls;
mod waking;

use std::sync::Arc;
use std::time::Duration;

use nd_supervise::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

pub use deploy::{Accepted, DeployRequest, PlannedDeploy, RollbackRequest, RollbackTarget};
pub use domain_look::{Answers, DomainLook, PortLook, Standing, Verdict};
pub use error::EngineError;
pub use handle::EngineHandle;

use crate::certs::{self, CertSettings};
use crate::ports::{LogCollector, PortError, StateStore};
use crate::registry::Registry;
pub(crate) use shared::Shared;

/// Keeps every app as it should be, until it is told to end.
///
/// An engine starts no task before [`run`](Self::run) is polled, installs no signal handler and no log subscriber, and
/// brings no runtime of its own: whoever embeds it decides about all of these.
///
/// ```
/// # use std::{error::Error, sync::Arc, time::Duration};
/// # use nd_core::{engine::DeployRequest, ports::StateStore, spec::AppSpec, Engine, Registry};
/// # use nd_types::AppName;
/// use nd_supervise::CancellationToken;
///
/// # async fn embed(
/// #     registry: Registry, store: Arc<dyn StateStore>, app: AppName, spec: AppSpec,
/// # ) -> Result<(), Box<dyn Error>> {
/// let engine = Engine::builder(registry).store(store).build().await?;
/// let (handle, shutdown) = (engine.handle(), CancellationToken::new());
///
/// let visit = async {
///     let accepted = handle.deploy(DeployRequest::new(&app, spec, "me")).await?;
///     let settled = handle.settled(&app, accepted.revision, Duration::from_secs(60)).await;
///     shutdown.cancel(); // Apps go on running.
///     settled
/// };
/// let ((), settled) = tokio::join!(engine.run(shutdown.clone()), visit);
/// println!("{}", settled?.ok_or("somebody removed it")?.phase);
/// # Ok(())
/// # }
/// ```
///
/// `examples/embed_fakes.rs` is a whole program.
pub struct Engine {
    shared: Arc<Shared>,
}

/// Collects what an engine needs.
pub struct EngineBuilder {
    registry: Registry,
    store: Option<Arc<dyn StateStore>>,
    clock: Arc<dyn Clock>,
    collector: Option<Arc<dyn LogCollector>>,
    fail_point: Option<FailPoint>,
    certs: CertSettings,
}

/// Called with `before-create`, `after-create` and so on around the effect of every step; a test ends the process
/// there, to see what a later start makes of it.
pub type FailPoint = Arc<dyn Fn(&str) + Send + Sync>;

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No store was given.
    #[error("the engine needs a state store")]
    NoStore,
    /// What is stored cannot be read.
    #[error("load the stored state: {0}")]
    Load(#[from] PortError),
    /// The system has no random source.
    #[error("make a daemon id: {0}")]
    Random(String),
}

impl Engine {
    /// Begins an engine that works with these adapters.
    #[must_use]
    pub fn builder(registry: Registry) -> EngineBuilder {
        EngineBuilder {
            registry,
            store: None,
            clock: Arc::new(SystemClock),
            collector: None,
            fail_point: None,
            certs: CertSettings::default(),
        }
    }

    /// The handle that edits and shows what should be.
    #[must_use]
    pub fn handle(&self) -> EngineHandle {
        EngineHandle::new(Arc::clone(&self.shared))
    }

    /// Reconciles until `shutdown`. Apps go on running afterwards.
    pub async fn run(&self, shutdown: CancellationToken) {
        let shared = &self.shared;
        shared.start_resting();
        shared.watch_runtimes(&shutdown);
        for kind in shared.books.kinds() {
            shared.tasks.spawn("routes", shared::serve_routes(Arc::clone(shared), kind, shutdown.clone()));
        }
        shared.tasks.spawn("certs", certs::run(Arc::clone(shared), shutdown.clone()));
        waking::start(shared, &shutdown);
        let writer = Arc::clone(shared);
        let until = shutdown.clone();
        shared.tasks.spawn("events", async move { writer.bus.write(&*writer.store, &until).await });
        adoption::run(Arc::clone(shared), shutdown.clone()).await;
        shared.stop.cancel();
        let aborted = shared.tasks.shutdown(Duration::from_secs(10)).await;
        if aborted > 0 {
            tracing::warn!(
                aborted,
                "ended actions that did not end in time; the next start goes on with them"
            );
        }
        shared.bus.flush(&*shared.store).await;
    }
}

impl EngineBuilder {
    /// Where intent is kept.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn StateStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Where the time is read.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What keeps the output of units; without one, output is only read when something fails.
    #[must_use]
    pub fn collector(mut self, collector: Arc<dyn LogCollector>) -> Self {
        self.collector = Some(collector);
        self
    }

    /// Where TLS is spoken, and with which certificates besides those that apps want.
    #[must_use]
    pub fn certs(mut self, settings: CertSettings) -> Self {
        self.certs = settings;
        self
    }

    /// Installs a fail point, for tests of crashes.
    #[must_use]
    pub fn fail_point(mut self, fail_point: FailPoint) -> Self {
        self.fail_point = Some(fail_point);
        self
    }

    /// Reads what is stored. Nothing runs yet, but the handle knows every app; wishes wait until the engine runs.
    ///
    /// # Errors
    /// [`BuildError`] when there is no store or it cannot be read.
    pub async fn build(self) -> Result<Engine, BuildError> {
        let store = self.store.ok_or(BuildError::NoStore)?;
        let mut shared = boot::load(self.registry, store, self.clock, self.collector).await?;
        shared.fail_point = self.fail_point;
        shared.certs.settings = self.certs;
        Ok(Engine { shared: Arc::new(shared) })
    }
}
