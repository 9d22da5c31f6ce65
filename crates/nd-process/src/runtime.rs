//! The daemon's side: `Runtime` on directories and shims.

mod changes;
mod hints;
mod io;
mod notes;
mod shims;
mod spawn;
mod units;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use nd_core::ports::{
    PortError, PortErrorKind, PortResult, Prepared, Progress, RegistryAuth, Runtime, RuntimeCaps, Scope,
    Signal, UnitObserved, UnitSpec, UnitStatus,
};
use nd_core::spec::{AppSpec, CommandSpec, Workload};
use nd_supervise::blocking;
use nd_types::{ExitStatus, RuntimeKind, Timestamp, UnitId};
use parking_lot::Mutex;

use crate::cgroup::Places;
use crate::command;
use crate::error::ProcessError;
use crate::launch;
use crate::leases::{LeaseBook, is_free};
use crate::limits::Limits;
use crate::protocol::{Phase, Request, Status};
use crate::record::{UnitRecord, own_port};
use crate::settings::Settings;
use changes::Changes;
use hints::Hints;
use notes::notes;
use shims::Shims;
use units::Units;

/// How to start a shim: a program that calls [`shim_main`](crate::shim_main) when it is given these arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimCommand {
    /// The program, absolute: `nextdeployd` itself.
    pub program: PathBuf,
    /// Its arguments: `shim`.
    pub args: Vec<String>,
    /// Whether systemd starts each one, in a unit of its own, which needs root and a system that systemd runs. Otherwise it
    /// is a child of this process, and all that binds this process binds it too.
    pub as_unit: bool,
}

/// Shims that are asked at once.
const ASKED_AT_ONCE: usize = 16;

/// SIGTERM, as POSIX numbers it.
const SIGTERM: i32 = 15;

/// Runs units as plain processes of this host, each under a shim.
///
/// Dropping it leaves the units running; a new one on the same directory finds them.
#[derive(Debug)]
pub struct ProcessRuntime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    units: Units,
    shims: Shims,
    leases: Mutex<LeaseBook>,
    /// One change of a unit at a time.
    turns: Mutex<HashMap<UnitId, Arc<tokio::sync::Mutex<()>>>>,
    hints: Hints,
    changes: Changes,
}

impl ProcessRuntime {
    /// A runtime whose units lie in `dir` (`<data dir>/units`). Sockets whose path would be too long there go to `run_dir`.
    /// Touches no unit. Blocks on the disk.
    ///
    /// # Errors
    /// When the directory cannot be made or read, or the settings' range of ports is empty.
    pub fn new(
        settings: &Settings,
        dir: PathBuf,
        run_dir: PathBuf,
        shim: ShimCommand,
    ) -> Result<Self, ProcessError> {
        let units = Units::open(dir, run_dir)?;
        let leased = units.list(|_| true)?.iter().map(|record| record.port.get()).collect();
        let leases = LeaseBook::open(&units.ports_file(), settings.first_port, settings.last_port, leased)?;
        let inner = Inner {
            shims: Shims::new(shim, units.path(), settings.output_bytes),
            leases: Mutex::new(leases),
            turns: Mutex::new(HashMap::new()),
            hints: Hints::new(),
            changes: Changes::new(),
            units,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    /// The unit's record.
    async fn record(self: &Arc<Self>, unit: &UnitId) -> Result<UnitRecord, ProcessError> {
        self.find(unit).await?.ok_or_else(|| ProcessError::NoUnit(unit.clone()))
    }

    async fn find(self: &Arc<Self>, unit: &UnitId) -> Result<Option<UnitRecord>, ProcessError> {
        let (inner, unit) = (Arc::clone(self), unit.clone());
        blocking("read a unit's record", move || inner.units.read(&unit)).await?
    }

    /// Waits for the turn to change this unit.
    async fn turn(&self, unit: &UnitId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(self.turns.lock().entry(unit.clone()).or_default());
        turn.lock_owned().await
    }

    /// Forgets whose turn it is at a unit that is gone, unless somebody waits: all must wait in one line.
    fn end_turns(&self, unit: &UnitId) {
        let mut turns = self.turns.lock();
        // The map and the caller's own guard.
        if turns.get(unit).is_some_and(|turn| Arc::strong_count(turn) <= 2) {
            turns.remove(unit);
        }
    }

    /// How the unit is: asked of its shim, else as it was last recorded.
    async fn status(self: &Arc<Self>, record: &UnitRecord) -> Result<Option<Status>, ProcessError> {
        match self.shims.ask(record, &Request::Status).await {
            Ok(Some(status)) => return Ok(Some(status)),
            // A shim that hangs says nothing about its unit; what it recorded last is the best there is.
            Err(ProcessError::Timeout { .. }) => return self.recorded(record).await,
            Err(error) => return Err(error),
            Ok(None) => {}
        }
        let last = self.recorded(record).await?;
        if last.as_ref().is_some_and(|status| status.phase.is_running()) {
            self.shims.kill_strays(record).await?;
        }
        Ok(last.map(Status::without_shim))
    }

    async fn recorded(self: &Arc<Self>, record: &UnitRecord) -> Result<Option<Status>, ProcessError> {
        let (inner, unit) = (Arc::clone(self), record.id.clone());
        let dir = self.units.dir(&record.id);
        match blocking("read a unit's status", move || inner.units.dir(&unit).status()).await? {
            Ok(status) => Ok(status),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                tracing::warn!(unit = %record.id, %error, "the recorded status is damaged");
                let phase = Phase::Ended { exit: ExitStatus::Unknown, started: None, finished: None };
                Ok(Some(Status { shim: 0, run: 0, phase }))
            }
            Err(error) => Err(ProcessError::file("read the status in", dir.path(), error)),
        }
    }

    async fn observe_one(self: &Arc<Self>, record: &UnitRecord) -> Result<UnitObserved, ProcessError> {
        let status = self.status(record).await?;
        Ok(observed(record, status.as_ref()))
    }

    async fn create(self: &Arc<Self>, unit: &UnitSpec) -> Result<UnitObserved, ProcessError> {
        let Workload::Command(command) = &unit.spec.workload else {
            return Err(ProcessError::NoCommand(unit.id.clone()));
        };
        let _turn = self.turn(&unit.id).await;
        if let Some(record) = self.find(&unit.id).await? {
            return self.observe_one(&record).await;
        }
        let socket = self.units.socket(&unit.id)?;
        let (inner, unit, command) = (Arc::clone(self), unit.clone(), command.clone());
        let record = blocking("create a unit", move || {
            let port = match own_port(&unit.spec) {
                Some(port) => inner.leases.lock().stays_away_from(port).map(|()| port)?,
                None => inner.leases.lock().lease(Timestamp::now(), is_free)?,
            };
            let record = UnitRecord::new(unit.id, unit.daemon, port, socket, &unit.spec, &command);
            inner
                .units
                .write(&record)
                .inspect_err(|_| inner.leases.lock().release(port, Timestamp::now()))?;
            Ok::<_, ProcessError>(record)
        });
        Ok(observed(&record.await??, None))
    }

    async fn start(self: &Arc<Self>, unit: &UnitId) -> Result<UnitObserved, ProcessError> {
        let _turn = self.turn(unit).await;
        let mut record = self.record(unit).await?;
        match self.shims.ask(&record, &Request::Status).await? {
            Some(status) if status.phase.is_running() => {
                self.hints.follow(&self.shims, &record, false);
                return Ok(observed(&record, Some(&status)));
            }
            Some(_) => {}
            // What is left of the unit must not pass for somebody else that has its port.
            None => self.shims.kill_strays(&record).await?,
        }
        record = self.with_free_port(record).await?;
        let launch = {
            let record = record.clone();
            blocking("find a unit's program", move || launch::of_record(&record, &record.argv)).await??
        };
        let request = Request::Start(Box::new(launch));
        let status = self.shims.ask_or_start(&record, &self.units.dir(unit), &request).await?;
        self.hints.follow(&self.shims, &record, true);
        Ok(observed(&record, Some(&status)))
    }

    /// The record of a unit that does not run, with another port where somebody has taken the leased one meanwhile: a
    /// daemon beside this one, or whoever likes the same numbers.
    async fn with_free_port(self: &Arc<Self>, record: UnitRecord) -> Result<UnitRecord, ProcessError> {
        let inner = Arc::clone(self);
        blocking("look at a port", move || {
            if is_free(record.port.get()) {
                return Ok(record);
            }
            if record.own_port {
                return Err(ProcessError::PortTaken(record.port));
            }
            let port = inner.leases.lock().replace(record.port, Timestamp::now(), is_free)?;
            tracing::warn!(unit = %record.id, taken = %record.port, %port, "the unit gets another port: its own is in use");
            let record = UnitRecord { port, ..record };
            inner.units.write(&record)?;
            Ok::<_, ProcessError>(record)
        })
        .await?
    }

    async fn signal(self: &Arc<Self>, unit: &UnitId, signal: Signal) -> Result<(), ProcessError> {
        let record = self.record(unit).await?;
        let request = match signal {
            Signal::Stop(number) => Request::Signal(number.unwrap_or(SIGTERM)),
            Signal::Kill => Request::Kill,
        };
        if self.shims.ask(&record, &request).await?.is_none() && signal == Signal::Kill {
            self.shims.kill_strays(&record).await?;
        }
        Ok(())
    }

    async fn wait(self: &Arc<Self>, unit: &UnitId) -> Result<ExitStatus, ProcessError> {
        let record = self.record(unit).await?;
        if let Some(mut watch) = self.shims.watch(&record).await? {
            while let Some(status) = watch.next().await? {
                if !status.phase.is_running() {
                    return Ok(exit_of(Some(&status)));
                }
            }
        }
        let status = self.recorded(&record).await?.map(Status::without_shim);
        Ok(exit_of(status.as_ref()))
    }

    async fn remove(self: &Arc<Self>, unit: &UnitId) -> Result<(), ProcessError> {
        let _turn = self.turn(unit).await;
        let Some(record) = self.find(unit).await? else { return Ok(()) };
        self.shims.end(&record).await?;
        let inner = Arc::clone(self);
        blocking("remove a unit", move || {
            inner.units.remove(&record)?;
            inner.leases.lock().release(record.port, Timestamp::now());
            Ok::<_, ProcessError>(())
        })
        .await??;
        self.end_turns(unit);
        self.hints.removed(unit);
        Ok(())
    }

    async fn observe(self: &Arc<Self>, scope: &Scope) -> Result<Vec<UnitObserved>, ProcessError> {
        let (inner, scope) = (Arc::clone(self), scope.clone());
        let records = blocking("list units", move || {
            let (daemon, mut records) = match &scope {
                Scope::All(daemon) => (daemon, inner.units.list(|_| true)?),
                Scope::App(daemon, app) => (daemon, inner.units.list(|unit| unit.app() == app)?),
                Scope::Unit(daemon, unit) => (daemon, inner.units.read(unit)?.into_iter().collect()),
            };
            records.retain(|record| record.daemon == *daemon);
            Ok::<_, ProcessError>(records)
        });
        let mut units: Vec<UnitObserved> = stream::iter(records.await??)
            .map(|record| async move { self.observe_one(&record).await })
            .buffer_unordered(ASKED_AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        units.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(units)
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn caps(&self) -> RuntimeCaps {
        RuntimeCaps { kind: RuntimeKind::Process, own_address: false, has_output: true }
    }

    async fn prepare(
        &self,
        spec: &AppSpec,
        _auth: Option<&RegistryAuth>,
        progress: &Progress,
    ) -> PortResult<Prepared> {
        let Workload::Command(command) = spec.workload.clone() else {
            return Err(PortError::new(
                PortErrorKind::Invalid,
                "prepare a release as a process: it names an image, not a command",
            ));
        };
        let (env, limits) = (spec.env.clone(), Limits::from(&spec.resources));
        let (program, places) = blocking("find a program", move || {
            let CommandSpec { argv, cwd, user, path } = &command;
            launch::find_user(user.as_deref())?;
            let (program, _) = launch::find(argv, cwd, path.as_deref(), &env)?;
            let places = if limits.is_none() { Places::default() } else { Places::find() };
            Ok::<_, ProcessError>((program, places))
        })
        .await
        .map_err(ProcessError::from)??;
        progress.say(format!("found {}", program.display()));
        Ok(Prepared { notes: notes(spec, &places), ..Prepared::default() })
    }

    async fn create(&self, unit: &UnitSpec) -> PortResult<UnitObserved> {
        Ok(self.inner.create(unit).await?)
    }

    async fn start(&self, unit: &UnitId) -> PortResult<UnitObserved> {
        Ok(self.inner.start(unit).await?)
    }

    async fn signal(&self, unit: &UnitId, signal: Signal) -> PortResult<()> {
        Ok(self.inner.signal(unit, signal).await?)
    }

    async fn wait(&self, unit: &UnitId) -> PortResult<ExitStatus> {
        Ok(self.inner.wait(unit).await?)
    }

    async fn remove(&self, unit: &UnitId) -> PortResult<()> {
        Ok(self.inner.remove(unit).await?)
    }

    async fn observe(&self, scope: &Scope) -> PortResult<Vec<UnitObserved>> {
        Ok(self.inner.observe(scope).await?)
    }
}

fn exit_of(status: Option<&Status>) -> ExitStatus {
    match status.map(|status| &status.phase) {
        Some(Phase::Ended { exit, .. }) => *exit,
        _ => ExitStatus::Unknown,
    }
}

fn observed(record: &UnitRecord, status: Option<&Status>) -> UnitObserved {
    let (status, pid) = match status.map(|status| &status.phase) {
        None | Some(Phase::Idle) => (UnitStatus::Created, None),
        Some(Phase::Running { pid, since, ready }) => {
            let healthy = record.wait_ready.then_some(*ready);
            (UnitStatus::Running { since: *since, healthy }, Some(*pid))
        }
        Some(Phase::Ended { exit, started, finished }) => {
            (UnitStatus::Exited { exit: *exit, started: *started, finished: *finished }, None)
        }
    };
    UnitObserved {
        id: Some(record.id.clone()),
        name: record.id.to_string(),
        daemon: Some(record.daemon.clone()),
        app: Some(record.id.app().to_string()),
        release: Some(record.id.release().clone()),
        ip: status.is_running().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        status,
        port: Some(record.port),
        exposed: Vec::new(),
        pid,
        runs: command::display(&record.argv),
        adoptable: None,
    }
}
