//! What ties one engine to its world.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    AppTraffic, Applied, DrainReport, ExecOutcome, HintStream, HistoryQuery, Ingress, IngressCaps, LogCursor,
    LogPieces, PortResult, Prepared, Progress, RegistryAuth, Runtime, RuntimeCaps, Scope, Seq, Signal,
    Snapshot, Socket, StateStore, UnitIo, UnitObserved, UnitSpec, UnitStats,
};
use nd_core::records::{Record, StoredEvent};
use nd_supervise::CancellationToken;
use nd_types::{AppName, EdgeState, ExitStatus, Timestamp, UnitId};
use tokio_stream::StreamExt;

/// Ties an engine to the ports it works with. Once it is cut, no call of that engine reaches the world and no answer
/// comes back, which is all the world ever notices of a SIGKILL; another engine takes over with a cable of its own.
#[derive(Clone, Debug, Default)]
pub struct Cable {
    cut: CancellationToken,
}

impl Cable {
    /// A cable that carries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts it for good.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Returns once it is cut.
    pub async fn until_cut(&self) {
        self.cut.cancelled().await;
    }

    /// The runtime at the end of this cable.
    #[must_use]
    pub fn runtime(&self, port: Arc<dyn Runtime>) -> Arc<dyn Runtime> {
        Arc::new(Wired { port, cable: self.clone() })
    }

    /// The ingress at the end of this cable.
    #[must_use]
    pub fn ingress(&self, port: Arc<dyn Ingress>) -> Arc<dyn Ingress> {
        Arc::new(Wired { port, cable: self.clone() })
    }

    /// The store at the end of this cable.
    #[must_use]
    pub fn store(&self, port: Arc<dyn StateStore>) -> Arc<dyn StateStore> {
        Arc::new(Wired { port, cable: self.clone() })
    }

    async fn carry<T>(&self, call: impl Future<Output = T>) -> T {
        let answer = tokio::select! {
            biased;
            () = self.cut.cancelled() => None,
            answer = call => Some(answer).filter(|_| !self.cut.is_cancelled()),
        };
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

struct Wired<P: ?Sized> {
    port: Arc<P>,
    cable: Cable,
}

#[async_trait]
impl UnitIo for Wired<dyn Runtime> {
    async fn logs(&self, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces> {
        self.cable.carry(self.port.logs(unit, cursor)).await
    }

    async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats> {
        self.cable.carry(self.port.stats(unit)).await
    }

    async fn exec(&self, unit: &UnitId, argv: &[String], deadline: Duration) -> PortResult<ExecOutcome> {
        self.cable.carry(self.port.exec(unit, argv, deadline)).await
    }

    async fn listening(&self, unit: &UnitId) -> PortResult<Vec<Socket>> {
        self.cable.carry(self.port.listening(unit)).await
    }

    async fn hints(&self) -> PortResult<HintStream> {
        let hints = self.cable.carry(self.port.hints()).await?;
        let cut = self.cable.cut.clone();
        Ok(Box::pin(hints.filter(move |_| !cut.is_cancelled())))
    }
}

#[async_trait]
impl Runtime for Wired<dyn Runtime> {
    fn caps(&self) -> RuntimeCaps {
        self.port.caps()
    }

    async fn prepare(
        &self,
        spec: &nd_core::spec::AppSpec,
        auth: Option<&RegistryAuth>,
        progress: &Progress,
    ) -> PortResult<Prepared> {
        self.cable.carry(self.port.prepare(spec, auth, progress)).await
    }

    async fn create(&self, unit: &UnitSpec) -> PortResult<UnitObserved> {
        self.cable.carry(self.port.create(unit)).await
    }

    async fn start(&self, unit: &UnitId) -> PortResult<UnitObserved> {
        self.cable.carry(self.port.start(unit)).await
    }

    async fn signal(&self, unit: &UnitId, signal: Signal) -> PortResult<()> {
        self.cable.carry(self.port.signal(unit, signal)).await
    }

    async fn wait(&self, unit: &UnitId) -> PortResult<ExitStatus> {
        self.cable.carry(self.port.wait(unit)).await
    }

    async fn remove(&self, unit: &UnitId) -> PortResult<()> {
        self.cable.carry(self.port.remove(unit)).await
    }

    async fn observe(&self, scope: &Scope) -> PortResult<Vec<UnitObserved>> {
        self.cable.carry(self.port.observe(scope)).await
    }
}

#[async_trait]
impl Ingress for Wired<dyn Ingress> {
    fn caps(&self) -> IngressCaps {
        self.port.caps()
    }

    fn http_addr(&self) -> std::net::SocketAddr {
        self.port.http_addr()
    }

    async fn check(&self) -> PortResult<()> {
        self.cable.carry(self.port.check()).await
    }

    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        self.cable.carry(self.port.apply(state)).await
    }

    async fn serving(&self) -> PortResult<Arc<EdgeState>> {
        self.cable.carry(self.port.serving()).await
    }

    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport> {
        self.cable.carry(self.port.drain(units, deadline)).await
    }

    async fn wanted(&self, known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>> {
        self.cable.carry(self.port.wanted(known)).await
    }

    async fn traffic(&self, app: &AppName) -> PortResult<AppTraffic> {
        self.cable.carry(self.port.traffic(app)).await
    }
}

#[async_trait]
impl StateStore for Wired<dyn StateStore> {
    async fn load(&self) -> PortResult<Snapshot> {
        self.cable.carry(self.port.load()).await
    }

    async fn append(&self, records: Vec<Record>) -> PortResult<Seq> {
        self.cable.carry(self.port.append(records)).await
    }

    async fn events(&self, query: &HistoryQuery) -> PortResult<Vec<StoredEvent>> {
        self.cable.carry(self.port.events(query)).await
    }

    async fn compact(&self, before: Timestamp) -> PortResult<()> {
        self.cable.carry(self.port.compact(before)).await
    }
}
