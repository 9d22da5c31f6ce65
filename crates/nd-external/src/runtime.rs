//! The ports, over the units.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use nd_core::ports::{
    ExecOutcome, HintStream, LogCursor, LogPieces, PortError, PortErrorKind, PortResult, Prepared, Progress,
    RegistryAuth, Runtime, RuntimeCaps, Scope, Signal, Socket, UnitIo, UnitObserved, UnitSpec, UnitStats,
};
use nd_core::spec::{AppSpec, Workload};
use nd_types::{ExitStatus, RuntimeKind, Timestamp, UnitId, UpstreamHost};

use crate::error::ExternalError;
use crate::place;
use crate::units::{State, Unit, Units};

/// Brings requests to servers that something else runs.
///
/// Dropping it changes nothing; a new one on the same directory finds the units again.
#[derive(Debug)]
pub struct ExternalRuntime {
    units: Arc<Units>,
}

impl ExternalRuntime {
    /// A runtime whose units lie in `dir` (`<data dir>/external`), private to the daemon's user. Blocks on the disk.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(dir: PathBuf) -> Result<Self, ExternalError> {
        Ok(Self { units: Arc::new(Units::open(dir)?) })
    }

    async fn change(
        &self,
        id: &UnitId,
        change: impl FnOnce(Option<Unit>) -> Option<Unit> + Send + 'static,
    ) -> Result<Option<Unit>, ExternalError> {
        let (units, id) = (Arc::clone(&self.units), id.clone());
        nd_supervise::blocking("write a unit", move || units.change(&id, change)).await?
    }

    fn unit(&self, id: &UnitId) -> Result<Unit, ExternalError> {
        self.units.get(id).ok_or_else(|| ExternalError::NoUnit(id.clone()))
    }
}

#[async_trait]
impl Runtime for ExternalRuntime {
    fn caps(&self) -> RuntimeCaps {
        RuntimeCaps { kind: RuntimeKind::External, own_address: true, has_output: false }
    }

    async fn prepare(
        &self,
        spec: &AppSpec,
        _auth: Option<&RegistryAuth>,
        progress: &Progress,
    ) -> PortResult<Prepared> {
        if let Workload::External(upstream) = &spec.workload
            && let UpstreamHost::Name(name) = upstream.host()
        {
            let ip = place::find(upstream).await?;
            progress.say(format!("{name} is {ip}"));
        }
        Ok(Prepared::default())
    }

    async fn create(&self, unit: &UnitSpec) -> PortResult<UnitObserved> {
        let Workload::External(upstream) = &unit.spec.workload else {
            return Err(ExternalError::NoUpstream(unit.id.clone()).into());
        };
        let new = Unit { daemon: unit.daemon.clone(), upstream: upstream.clone(), state: State::Created };
        let created = self.change(&unit.id, move |there| there.or(Some(new))).await?;
        let created = created.ok_or_else(|| ExternalError::NoUnit(unit.id.clone()))?;
        Ok(observed(&unit.id, &created))
    }

    async fn start(&self, unit: &UnitId) -> PortResult<UnitObserved> {
        let ip = place::find(&self.unit(unit)?.upstream).await.map_err(|error| {
            // It was there when the release was prepared, and may be again.
            PortError { kind: PortErrorKind::Unavailable, ..error.into() }
        })?;
        let open = State::Open { ip, since: Timestamp::now() };
        let start = move |there: Unit| match there.state {
            State::Open { .. } => there,
            State::Created | State::Closed { .. } => Unit { state: open, ..there },
        };
        let started = self.change(unit, move |there| there.map(start)).await?;
        let started = started.ok_or_else(|| ExternalError::NoUnit(unit.clone()))?;
        Ok(observed(unit, &started))
    }

    /// The server is never told.
    async fn signal(&self, unit: &UnitId, _signal: Signal) -> PortResult<()> {
        let at = Timestamp::now();
        self.unit(unit)?;
        let close = move |there: Unit| match there.state {
            State::Open { since, .. } => Unit { state: State::Closed { since: Some(since), at }, ..there },
            State::Created | State::Closed { .. } => there,
        };
        self.change(unit, move |there| there.map(close)).await?;
        Ok(())
    }

    async fn wait(&self, unit: &UnitId) -> PortResult<ExitStatus> {
        self.unit(unit)?;
        let closed = |there: Option<Unit>| match there.map(|there| there.state) {
            Some(State::Open { .. }) => None,
            Some(State::Closed { .. }) => Some(ExitStatus::Code(0)),
            Some(State::Created) | None => Some(ExitStatus::Unknown),
        };
        Ok(self.units.until(unit, closed).await)
    }

    async fn remove(&self, unit: &UnitId) -> PortResult<()> {
        self.change(unit, |_| None).await?;
        Ok(())
    }

    async fn observe(&self, scope: &Scope) -> PortResult<Vec<UnitObserved>> {
        let wanted = |id: &UnitId, unit: &Unit| match scope {
            Scope::All(daemon) => unit.daemon == *daemon,
            Scope::App(daemon, app) => unit.daemon == *daemon && id.app() == app,
            Scope::Unit(daemon, one) => unit.daemon == *daemon && id == one,
        };
        Ok(self.units.list(wanted).iter().map(|(id, unit)| observed(id, unit)).collect())
    }
}

#[async_trait]
impl UnitIo for ExternalRuntime {
    /// Nothing, to the end: what the server writes is not ours.
    async fn logs(&self, unit: &UnitId, _cursor: LogCursor) -> PortResult<LogPieces> {
        self.unit(unit)?;
        let (units, unit) = (Arc::clone(&self.units), unit.clone());
        let gone = async move { units.until(&unit, |there| there.is_none().then_some(())).await };
        Ok(stream::once(gone).filter_map(|()| std::future::ready(None)).boxed())
    }

    async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats> {
        Err(ExternalError::Elsewhere { what: "measure what is used by", unit: unit.clone() }.into())
    }

    async fn exec(&self, unit: &UnitId, _argv: &[String], _deadline: Duration) -> PortResult<ExecOutcome> {
        Err(ExternalError::Elsewhere { what: "run a command inside", unit: unit.clone() }.into())
    }

    /// Where it is asked; whether somebody listens there is for the probe to find out.
    async fn listening(&self, unit: &UnitId) -> PortResult<Vec<Socket>> {
        let unit = self.unit(unit)?;
        let port = unit.upstream.port();
        Ok(unit.state.ip().map(|ip| Socket { ip, port }).into_iter().collect())
    }

    /// None: nothing happens here by itself.
    async fn hints(&self) -> PortResult<HintStream> {
        Ok(stream::pending().boxed())
    }
}

fn observed(id: &UnitId, unit: &Unit) -> UnitObserved {
    UnitObserved {
        id: Some(id.clone()),
        name: id.to_string(),
        daemon: Some(unit.daemon.clone()),
        app: Some(id.app().to_string()),
        release: Some(id.release().clone()),
        status: unit.state.status(),
        ip: unit.state.ip(),
        port: None,
        exposed: Vec::new(),
        pid: None,
        runs: unit.upstream.to_string(),
        adoptable: None,
    }
}
