//! The runtime itself: what it holds, and which module does what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    ExecOutcome, HintStream, LogCursor, LogPieces, PortResult, Prepared, Progress, RegistryAuth, Runtime,
    RuntimeCaps, Scope, Signal, Socket, UnitIo, UnitObserved, UnitSpec, UnitStats,
};
use nd_core::spec::AppSpec;
use nd_types::{DaemonId, ExitStatus, RuntimeKind, UnitId};
use parking_lot::Mutex;

use crate::engine::{Engine, EngineInfo};
use crate::failure::port_error;
use crate::network::Addresses;
use crate::prepare::Pulls;
use crate::settings::Settings;
use crate::{create, exec, health, hints, listening, logs, observe, oom, prepare, start, stats, wait};

/// Runs units as containers of a Docker engine. Clones share one connection and one list of addresses.
#[derive(Clone, Debug)]
pub struct DockerRuntime {
    shared: Arc<Shared>,
}

/// What every verb works with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) engine: Engine,
    /// Held from the choice of an address until its container exists, so that no two units get the same one.
    pub(crate) addresses: tokio::sync::Mutex<Addresses>,
    pub(crate) pulls: Pulls,
    /// The daemons that this runtime was asked for: only their containers, and unclaimed ones, are touched.
    pub(crate) daemons: Mutex<BTreeSet<DaemonId>>,
    /// Containers that no daemon claims, by the unit that they are.
    pub(crate) adopted: Mutex<BTreeMap<UnitId, String>>,
    /// Where a unit's main process was last seen; checked before it is believed.
    pub(crate) main_processes: Mutex<BTreeMap<UnitId, stats::MainProcess>>,
    /// What is known of kills for memory beyond what the engine notes.
    pub(crate) kills: Mutex<oom::Kills>,
    pub(crate) first_checks: health::FirstChecks,
}

impl DockerRuntime {
    /// A runtime on the engine that `settings` name. Nothing is connected yet: each call connects by itself and answers
    /// `Unavailable`, with what to do, while there is no engine.
    ///
    /// `state_dir` is where the list of given addresses is kept (`docker-addresses.json`), and made when it is missing; without it, it is kept in
    /// memory, and an address that was freed before a restart of the daemon does not rest.
    #[must_use]
    pub fn new(settings: Settings, state_dir: Option<PathBuf>) -> Self {
        let shared = Shared {
            engine: Engine::new(settings.host.as_deref(), settings.call_timeout),
            addresses: tokio::sync::Mutex::new(Addresses::new(state_dir)),
            pulls: Pulls::default(),
            daemons: Mutex::default(),
            adopted: Mutex::default(),
            main_processes: Mutex::default(),
            kills: Mutex::default(),
            first_checks: health::FirstChecks::default(),
            settings,
        };
        Self { shared: Arc::new(shared) }
    }

    /// What the engine says about itself.
    ///
    /// # Errors
    /// `Unavailable` when there is no engine, `Timeout` when it does not answer.
    pub async fn info(&self) -> PortResult<EngineInfo> {
        let session = self.shared.engine.session().await;
        session
            .map(|session| session.info.clone())
            .map_err(|error| port_error("ask the docker engine", error))
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn caps(&self) -> RuntimeCaps {
        RuntimeCaps { kind: RuntimeKind::Docker, own_address: true, has_output: true }
    }

    async fn prepare(
        &self,
        spec: &AppSpec,
        auth: Option<&RegistryAuth>,
        progress: &Progress,
    ) -> PortResult<Prepared> {
        prepare::prepare(&self.shared, spec, auth, progress).await
    }

    async fn create(&self, unit: &UnitSpec) -> PortResult<UnitObserved> {
        create::create(&self.shared, unit).await
    }

    async fn start(&self, unit: &UnitId) -> PortResult<UnitObserved> {
        start::start(&self.shared, unit).await
    }

    async fn signal(&self, unit: &UnitId, signal: Signal) -> PortResult<()> {
        start::signal(&self.shared, unit, signal).await
    }

    async fn wait(&self, unit: &UnitId) -> PortResult<ExitStatus> {
        wait::wait(&self.shared, unit).await
    }

    async fn remove(&self, unit: &UnitId) -> PortResult<()> {
        create::remove(&self.shared, unit).await
    }

    async fn observe(&self, scope: &Scope) -> PortResult<Vec<UnitObserved>> {
        observe::observe(&self.shared, scope).await
    }
}

#[async_trait]
impl UnitIo for DockerRuntime {
    async fn logs(&self, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces> {
        logs::logs(&self.shared, unit, cursor).await
    }

    async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats> {
        stats::stats(&self.shared, unit).await
    }

    async fn exec(&self, unit: &UnitId, argv: &[String], deadline: Duration) -> PortResult<ExecOutcome> {
        exec::exec(&self.shared, unit, argv, deadline).await
    }

    async fn listening(&self, unit: &UnitId) -> PortResult<Vec<Socket>> {
        listening::listening(&self.shared, unit).await
    }

    async fn hints(&self) -> PortResult<HintStream> {
        hints::hints(&self.shared).await
    }
}
