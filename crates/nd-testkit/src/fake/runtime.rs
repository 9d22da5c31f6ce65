//! A runtime in memory.

mod unit;
mod world;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use nd_core::ports::{
    ExecOutcome, HintKind, HintStream, LogCursor, LogPieces, PortError, PortErrorKind, PortResult, Prepared,
    Progress, RegistryAuth, Runtime, RuntimeCaps, Scope, Signal, Socket, UnitHint, UnitIo, UnitObserved,
    UnitSpec, UnitStats, UnitStatus,
};
use nd_core::spec::AppSpec;
use nd_supervise::{Clock, TaskSet};
use nd_types::{ExitStatus, RuntimeKind, UnitId};
use parking_lot::Mutex;
use tokio_stream::wrappers::BroadcastStream;

use super::behaviour::{Behaviour, Stopping};
use super::faults::Faults;
use super::network::FakeNetwork;
use unit::{Origin, Unit};
use world::World;

/// A method of [`Runtime`] or [`UnitIo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuntimeCall {
    /// [`Runtime::prepare`].
    Prepare,
    /// [`Runtime::create`].
    Create,
    /// [`Runtime::start`].
    Start,
    /// [`Runtime::signal`].
    Signal,
    /// [`Runtime::wait`].
    Wait,
    /// [`Runtime::remove`].
    Remove,
    /// [`Runtime::observe`].
    Observe,
    /// [`UnitIo::logs`].
    Logs,
    /// [`UnitIo::stats`].
    Stats,
    /// [`UnitIo::exec`].
    Exec,
    /// [`UnitIo::listening`].
    Listening,
    /// [`UnitIo::hints`].
    Hints,
}

/// One call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: RuntimeCall,
    /// The unit it was about.
    pub unit: Option<UnitId>,
}

/// Keeps units in memory. What each of them does is written in its environment, see [`Behaviour`]; what goes wrong with
/// the runtime itself, in its [`Faults`].
pub struct FakeRuntime {
    kind: RuntimeKind,
    faults: Faults<RuntimeCall>,
    calls: Mutex<Vec<Call>>,
    world: Arc<World>,
    /// Units that end by themselves some time later.
    timers: TaskSet,
}

impl FakeRuntime {
    /// A runtime of this kind without units. Its units listen on `network` and tell the time by `clock`.
    #[must_use]
    pub fn new(kind: RuntimeKind, network: &FakeNetwork, clock: Arc<dyn Clock>) -> Self {
        Self {
            kind,
            faults: Faults::none(),
            calls: Mutex::default(),
            world: Arc::new(World::new(network.clone(), clock)),
            timers: TaskSet::new("fake-units"),
        }
    }

    /// What goes wrong with its calls.
    #[must_use]
    pub fn faults(&self) -> &Faults<RuntimeCall> {
        &self.faults
    }

    /// Every call so far, looks and reads included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// How often a method was called.
    #[must_use]
    pub fn count(&self, method: RuntimeCall) -> usize {
        self.calls.lock().iter().filter(|call| call.method == method).count()
    }

    /// Every unit there is, whoever it belongs to.
    #[must_use]
    pub fn units(&self) -> Vec<UnitObserved> {
        self.world.see(|_, _| true)
    }

    /// The ids of all units that run.
    #[must_use]
    pub fn running(&self) -> Vec<UnitId> {
        let units = self.units().into_iter();
        units.filter(|unit| unit.status.is_running()).filter_map(|unit| unit.id).collect()
    }

    /// How often a unit was started.
    #[must_use]
    pub fn starts(&self, unit: &UnitId) -> u32 {
        self.world.with(unit, |unit| unit.starts).unwrap_or(0)
    }

    /// Waits until the units are as `wanted` says. Give it a deadline.
    pub async fn until(&self, wanted: impl Fn(&[UnitObserved]) -> bool) {
        self.world.until(|| wanted(&self.units()).then_some(())).await;
    }

    /// A unit ends all of a sudden, as if it had crashed.
    pub fn crash(&self, unit: &UnitId, exit: ExitStatus) {
        self.world.end(unit, None, exit);
    }

    /// Somebody removes a unit behind the daemon's back.
    pub fn vanish(&self, unit: &UnitId) {
        self.world.remove(unit);
    }

    /// Puts a running unit there that carries our label but no daemon's id, as `docker run --label` does.
    ///
    /// # Errors
    /// When the script of its environment means nothing.
    pub fn plant(&self, unit: &UnitId, spec: &AppSpec) -> Result<(), String> {
        let origin = Origin::Unclaimed(Box::new(spec.clone()));
        let behaviour = Behaviour::of(spec)?;
        let port = self.port(spec, &behaviour);
        self.world.create(unit, || Unit::new(unit, origin, spec, behaviour, port));
        self.begin(unit).map(drop).map_err(|error| error.to_string())
    }

    /// From now on hints are lost, or come again.
    pub fn lose_hints(&self, lose: bool) {
        self.world.lose_hints(lose);
    }

    /// Ends every stream of hints, as an engine does that restarts.
    pub fn end_hints(&self) {
        self.world.end_hints();
    }

    fn note(&self, method: RuntimeCall, unit: Option<&UnitId>) {
        self.calls.lock().push(Call { method, unit: unit.cloned() });
    }

    async fn call<T>(
        &self,
        method: RuntimeCall,
        unit: Option<&UnitId>,
        effect: impl FnOnce() -> PortResult<T>,
    ) -> PortResult<T> {
        self.note(method, unit);
        self.faults.meet(method, effect).await
    }

    /// The port a unit is told to listen on: its own in a container, a leased one in a process.
    fn port(&self, spec: &AppSpec, behaviour: &Behaviour) -> unit::Port {
        match self.kind {
            RuntimeKind::Docker | RuntimeKind::External => unit::Port::Own(spec.port.or(behaviour.listens)),
            RuntimeKind::Process => unit::Port::Leased(self.world.lease()),
        }
    }

    fn make(&self, unit: &UnitSpec) -> PortResult<UnitObserved> {
        let behaviour = Behaviour::of(&unit.spec).map_err(invalid)?;
        let port = self.port(&unit.spec, &behaviour);
        let origin = Origin::Ours(unit.daemon.clone());
        self.world.create(&unit.id, || Unit::new(&unit.id, origin, &unit.spec, behaviour, port));
        self.seen(&unit.id)
    }

    fn begin(&self, id: &UnitId) -> PortResult<UnitObserved> {
        let Some(begun) = self.world.start(id) else { return Err(missing(id)) };
        if let Some((run, (after, exit))) = begun.ends {
            match after {
                Duration::ZERO => self.world.end(id, Some(run), exit),
                after => self.end_later(id, run, after, exit),
            }
        }
        self.seen(id)
    }

    fn send(&self, id: &UnitId, signal: Signal) -> PortResult<()> {
        let Some((run, stopping)) = self.world.with(id, |unit| (unit.starts, unit.behaviour.stopping)) else {
            return Err(missing(id));
        };
        match (signal, stopping) {
            (Signal::Kill, _) => self.world.end(id, Some(run), ExitStatus::Signal(9)),
            (Signal::Stop(number), Stopping::AtOnce) => {
                self.world.end(id, Some(run), ExitStatus::Signal(number.unwrap_or(15)));
            }
            (Signal::Stop(_), Stopping::After(time)) => self.end_later(id, run, time, ExitStatus::Code(0)),
            (Signal::Stop(_), Stopping::Never) => {}
        }
        Ok(())
    }

    fn end_later(&self, id: &UnitId, run: u32, after: Duration, exit: ExitStatus) {
        let (world, id) = (Arc::clone(&self.world), id.clone());
        self.timers.spawn("end", async move {
            tokio::time::sleep(after).await;
            world.end(&id, Some(run), exit);
        });
    }

    fn seen(&self, id: &UnitId) -> PortResult<UnitObserved> {
        self.world.with(id, |unit| unit.observed(id)).ok_or_else(|| missing(id))
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    fn caps(&self) -> RuntimeCaps {
        RuntimeCaps { kind: self.kind, own_address: self.kind != RuntimeKind::Process, has_output: true }
    }

    async fn prepare(
        &self,
        spec: &AppSpec,
        _: Option<&RegistryAuth>,
        progress: &Progress,
    ) -> PortResult<Prepared> {
        let behaviour = Behaviour::of(spec).map_err(invalid)?;
        if !behaviour.prepare_takes.is_zero() {
            progress.say("1 of 2 layers");
            tokio::time::sleep(behaviour.prepare_takes).await;
        }
        self.call(RuntimeCall::Prepare, None, || match behaviour.missing {
            true => Err(PortError::new(PortErrorKind::NotFound, "prepare: it does not exist")),
            false => Ok(Prepared {
                exposed: behaviour.listens.into_iter().collect(),
                healthcheck: behaviour.healthy_after.is_some(),
                ..Prepared::default()
            }),
        })
        .await
    }

    async fn create(&self, unit: &UnitSpec) -> PortResult<UnitObserved> {
        self.call(RuntimeCall::Create, Some(&unit.id), || self.make(unit)).await
    }

    async fn start(&self, unit: &UnitId) -> PortResult<UnitObserved> {
        self.call(RuntimeCall::Start, Some(unit), || self.begin(unit)).await
    }

    async fn signal(&self, unit: &UnitId, signal: Signal) -> PortResult<()> {
        self.call(RuntimeCall::Signal, Some(unit), || self.send(unit, signal)).await
    }

    async fn wait(&self, unit: &UnitId) -> PortResult<ExitStatus> {
        self.call(RuntimeCall::Wait, Some(unit), || Ok(())).await?;
        let ended = || match self.world.with(unit, |unit| unit.status.clone()) {
            None => Some(Err(missing(unit))),
            Some(UnitStatus::Running { .. }) => None,
            Some(UnitStatus::Created) => Some(Ok(ExitStatus::Unknown)),
            Some(UnitStatus::Exited { exit, .. }) => Some(Ok(exit)),
        };
        self.world.until(ended).await
    }

    async fn remove(&self, unit: &UnitId) -> PortResult<()> {
        self.call(RuntimeCall::Remove, Some(unit), || {
            self.world.remove(unit);
            Ok(())
        })
        .await
    }

    async fn observe(&self, scope: &Scope) -> PortResult<Vec<UnitObserved>> {
        self.call(RuntimeCall::Observe, None, || {
            Ok(self.world.see(|id, unit| match scope {
                Scope::All(daemon) => unit.origin.concerns(daemon),
                Scope::Unit(daemon, one) => id == one && unit.origin.concerns(daemon),
                Scope::App(daemon, app) => id.app() == app && unit.origin.concerns(daemon),
            }))
        })
        .await
    }
}

#[async_trait]
impl UnitIo for FakeRuntime {
    async fn logs(&self, unit: &UnitId, cursor: LogCursor) -> PortResult<LogPieces> {
        let first = self
            .call(RuntimeCall::Logs, Some(unit), || {
                self.world.with(unit, |unit| unit.first_line(cursor)).ok_or_else(|| missing(unit))
            })
            .await?;
        let (world, id) = (Arc::clone(&self.world), unit.clone());
        let lines = stream::unfold(first, move |next| {
            let (world, id) = (Arc::clone(&world), id.clone());
            async move {
                let line = world
                    .until(|| match world.with(&id, |unit| unit.lines.get(next).cloned()) {
                        None => Some(None),
                        Some(line) => line.map(Some),
                    })
                    .await;
                line.map(|line| (Ok(line), next + 1))
            }
        });
        Ok(Box::pin(lines))
    }

    async fn stats(&self, unit: &UnitId) -> PortResult<UnitStats> {
        self.call(RuntimeCall::Stats, Some(unit), || {
            let limit = self.world.with(unit, |unit| unit.memory).ok_or_else(|| missing(unit))?;
            Ok(UnitStats {
                memory_bytes: 1 << 20,
                memory_limit_bytes: limit,
                processes: 1,
                ..UnitStats::default()
            })
        })
        .await
    }

    async fn exec(&self, unit: &UnitId, argv: &[String], deadline: Duration) -> PortResult<ExecOutcome> {
        let usual = self
            .call(RuntimeCall::Exec, Some(unit), || {
                let known = self.world.with(unit, |unit| (unit.status.is_running(), unit.behaviour.exec));
                match known.ok_or_else(|| missing(unit))? {
                    (true, exit) => Ok(exit),
                    (false, _) => {
                        Err(PortError::new(PortErrorKind::Conflict, format!("exec: {unit} does not run")))
                    }
                }
            })
            .await?;
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let exit = match words.as_slice() {
            ["hang"] => {
                tokio::time::sleep(deadline).await;
                return Err(PortError::new(PortErrorKind::Timeout, "exec: no end within its deadline"));
            }
            ["exit", code] => code.parse().map_or(ExitStatus::Code(2), ExitStatus::Code),
            _ => usual,
        };
        Ok(ExecOutcome { exit, output: argv.join(" ").into_bytes() })
    }

    async fn listening(&self, unit: &UnitId) -> PortResult<Vec<Socket>> {
        self.call(RuntimeCall::Listening, Some(unit), || {
            self.world.with(unit, Unit::sockets).ok_or_else(|| missing(unit))
        })
        .await
    }

    async fn hints(&self) -> PortResult<HintStream> {
        let hints = self.call(RuntimeCall::Hints, None, || Ok(self.world.hints())).await?;
        let missed = UnitHint { unit: None, kind: HintKind::Resync };
        Ok(Box::pin(BroadcastStream::new(hints).map(move |hint| hint.unwrap_or(missed.clone()))))
    }
}

fn missing(unit: &UnitId) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{unit} does not exist"))
}

fn invalid(why: String) -> PortError {
    PortError::new(PortErrorKind::Invalid, why)
}
