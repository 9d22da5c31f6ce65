//! The machine: units, the table that serves, requests in flight, and what was stored.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;
use nd_core::diagnosis::Diagnosis;
use nd_core::model::{
    Action, ActionEnd, ActionError, CheckReport, NotReady, Now, ReadyReport, RoutesServing, Started,
    StopReport, UnitAction,
};
use nd_core::ports::{AppTraffic, BindFault, DrainReport, PortErrorKind, Prepared, UnitObserved, UnitStatus};
use nd_core::records::{AppRecord, DeploymentRecord, Record, ReleaseRecord};
use nd_core::routes::AppRoutes;
use nd_supervise::Mono;
use nd_types::{AppName, DeploymentId, ExitStatus, Generation, ReleaseId, Timestamp, UnitId};

use crate::recipe::Nature;

/// One container or process.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) status: UnitStatus,
    /// Where it listens; another one after each start.
    pub(crate) address: SocketAddr,
}

impl Machine {
    pub(crate) fn runs(&self) -> bool {
        self.status.is_running()
    }
}

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) app: Option<AppRecord>,
    pub(crate) releases: BTreeMap<ReleaseId, ReleaseRecord>,
    pub(crate) deployments: BTreeMap<DeploymentId, DeploymentRecord>,
}

impl Stored {
    pub(crate) fn append(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            match record {
                Record::App(app) => self.app = Some(*app),
                Record::Release(release) => {
                    self.releases.insert(release.id.clone(), *release);
                }
                Record::ReleaseGone(id) => {
                    self.releases.remove(&id);
                }
                Record::Deployment(deployment) => {
                    self.deployments.insert(deployment.id.clone(), *deployment);
                }
                Record::Daemon(_) | Record::Cert(_) | Record::Event(_) => {}
            }
        }
    }

    /// The deployment a new daemon knows of: the one under way, or the newest.
    pub(crate) fn last_deployment(&self) -> Option<DeploymentRecord> {
        let under_way = self.app.as_ref().and_then(|app| app.rollout.as_ref());
        match under_way {
            Some(rollout) => self.deployments.get(&rollout.deployment).cloned(),
            None => self.deployments.values().max_by_key(|deployment| deployment.order()).cloned(),
        }
    }
}

/// Everything outside the daemon.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) app: AppName,
    /// Time for measuring.
    pub(crate) time: Duration,
    /// What somebody set the host's clock to, in seconds from where it should be.
    pub(crate) clock_error: i64,
    pub(crate) units: BTreeMap<UnitId, Machine>,
    pub(crate) table: Option<AppRoutes>,
    pub(crate) requests: BTreeMap<UnitId, u64>,
    /// Units that fail their checks until they are started anew.
    pub(crate) ill: BTreeSet<UnitId>,
    /// Units that use too much memory until they are started anew.
    pub(crate) greedy: BTreeSet<UnitId>,
    pub(crate) natures: BTreeMap<ReleaseId, Nature>,
    pub(crate) stored: Stored,
    /// What has become of requests.
    pub(crate) traffic: AppTraffic,
    /// The disk is full.
    pub(crate) disk_full: bool,
    /// Somebody else holds the app's host port.
    pub(crate) port_taken: bool,
    /// Somebody started units behind the daemon's back, so that it cannot be blamed for what runs.
    pub(crate) meddled: bool,
    generation: u64,
    ports: u16,
}

impl World {
    pub(crate) fn new(app: AppName) -> Self {
        Self {
            app,
            time: Duration::from_secs(1000),
            clock_error: 0,
            units: BTreeMap::new(),
            table: None,
            requests: BTreeMap::new(),
            ill: BTreeSet::new(),
            greedy: BTreeSet::new(),
            natures: BTreeMap::new(),
            stored: Stored::default(),
            traffic: AppTraffic::default(),
            disk_full: false,
            port_taken: false,
            meddled: false,
            generation: 0,
            ports: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let millis = u32::try_from(self.time.as_millis() % 1000).unwrap_or(0);
        Now { mono: Mono(self.time), wall: self.wall(), jitter: f64::from(millis) / 1000.0 }
    }

    pub(crate) fn wall(&self) -> Timestamp {
        let shown = SignedDuration::from_secs(1_800_000_000 + self.clock_error)
            .saturating_add(SignedDuration::try_from(self.time).unwrap_or_default());
        Timestamp::UNIX_EPOCH.saturating_add(shown).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn nature(&self, release: &ReleaseId) -> Nature {
        self.natures.get(release).copied().unwrap_or(Nature::Good)
    }

    pub(crate) fn routed(&self) -> BTreeSet<UnitId> {
        self.table.iter().flat_map(|table| table.units.iter().cloned()).collect()
    }

    pub(crate) fn in_flight(&self, unit: &UnitId) -> u64 {
        self.requests.get(unit).copied().unwrap_or(0)
    }

    pub(crate) fn runs(&self, unit: &UnitId) -> bool {
        self.units.get(unit).is_some_and(Machine::runs)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &UnitId> {
        self.units.iter().filter(|(_, unit)| unit.runs()).map(|(id, _)| id)
    }

    /// A request reaches one of the routed units.
    pub(crate) fn request(&mut self, pick: usize) {
        let serving: Vec<UnitId> = self.routed().into_iter().filter(|unit| self.runs(unit)).collect();
        if let Some(unit) = serving.get(pick % serving.len().max(1)) {
            *self.requests.entry(unit.clone()).or_default() += 1;
        }
    }

    /// So many requests are answered by a release, some of them badly.
    pub(crate) fn answer(&mut self, release: &ReleaseId, answers: u64, failed: u64, took_us: u64) {
        self.traffic.answers += answers;
        self.traffic.failed += failed;
        let of_release = self.traffic.releases.entry(release.clone()).or_default();
        of_release.answers += answers;
        of_release.failed += failed;
        *of_release.latency_us.entry(took_us).or_default() += answers;
    }

    /// The unit ends by itself, and its requests with it.
    pub(crate) fn crash(&mut self, unit: &UnitId, exit: ExitStatus) {
        let wall = self.wall();
        self.requests.remove(unit);
        if let Some(machine) = self.units.get_mut(unit)
            && let UnitStatus::Running { since, .. } = machine.status
        {
            machine.status = UnitStatus::Exited { exit, started: Some(since), finished: Some(wall) };
        }
    }

    /// Somebody removes the unit.
    pub(crate) fn vanish(&mut self, unit: &UnitId) {
        self.requests.remove(unit);
        self.units.remove(unit);
    }

    /// Does what the action asks for, and says what came of it.
    pub(crate) fn perform(&mut self, action: &Action) -> ActionEnd {
        match action {
            Action::Observe { epoch } => ActionEnd::Observed { epoch: *epoch, result: Ok(self.look()) },
            Action::Prepare(release) => {
                let missing = self.nature(release) == Nature::Missing;
                let result = if missing {
                    Err(refused(PortErrorKind::NotFound, "no such image"))
                } else {
                    Ok(Prepared::default())
                };
                ActionEnd::Prepared(release.clone(), result)
            }
            Action::Unit(unit, action) => self.perform_on(unit, *action),
            Action::Apply(routes) => {
                self.table = Some((**routes).clone());
                self.generation += 1;
                let taken = routes.host_ports.iter().filter(|_| self.port_taken);
                let faults = taken.map(|port| BindFault {
                    bind: port.bind,
                    app: Some(self.app.clone()),
                    error: "address in use".to_owned(),
                });
                let serving =
                    RoutesServing { generation: Generation(self.generation), faults: faults.collect() };
                ActionEnd::Applied(routes.clone(), Ok(serving))
            }
            Action::Measure => ActionEnd::Measured(Ok(self.traffic.clone())),
            Action::Withdraw => {
                self.table = None;
                ActionEnd::Withdrawn(Ok(()))
            }
            Action::Check { unit, since, checks } => {
                let ill = self.ill.contains(unit) || !self.runs(unit);
                let health = if ill { Err("GET / 500".to_owned()) } else { Ok(()) };
                let used = if self.greedy.contains(unit) { u64::MAX } else { 1 };
                let report = CheckReport {
                    health: checks.health.then_some(health),
                    memory: checks.memory.then_some(used),
                };
                ActionEnd::Checked(unit.clone(), *since, report)
            }
        }
    }

    fn perform_on(&mut self, unit: &UnitId, action: UnitAction) -> ActionEnd {
        match action {
            UnitAction::Create => {
                let address = self.address();
                let machine = Machine { status: UnitStatus::Created, address };
                self.units.entry(unit.clone()).or_insert(machine);
                ActionEnd::Created(unit.clone(), Ok(()))
            }
            UnitAction::Start(_) => ActionEnd::Started(unit.clone(), self.start(unit)),
            UnitAction::WaitReady { within } => {
                ActionEnd::Warmed(unit.clone(), self.wait_ready(unit, within))
            }
            UnitAction::Drain => {
                let cut = self.requests.remove(unit).unwrap_or(0);
                ActionEnd::Drained(unit.clone(), Ok(DrainReport { cut, ..DrainReport::default() }))
            }
            UnitAction::Stop => ActionEnd::Stopped(unit.clone(), self.stop(unit)),
            UnitAction::Remove => {
                self.vanish(unit);
                ActionEnd::Removed(unit.clone(), Ok(()))
            }
        }
    }

    /// Starts a unit that exists; one that runs is left alone.
    pub(crate) fn start(&mut self, unit: &UnitId) -> Result<Started, ActionError> {
        if self.nature(unit.release()) == Nature::Unstartable {
            return Err(refused(PortErrorKind::Invalid, "exec format error"));
        }
        let (wall, address) = (self.wall(), self.address());
        let gone = || refused(PortErrorKind::NotFound, "no such unit");
        let machine = self.units.get_mut(unit).ok_or_else(gone)?;
        if let UnitStatus::Running { since, .. } = machine.status {
            return Ok(Started { pid: None, at: since });
        }
        self.ill.remove(unit);
        self.greedy.remove(unit);
        *machine = Machine { status: UnitStatus::Running { since: wall, healthy: None }, address };
        Ok(Started { pid: None, at: wall })
    }

    fn wait_ready(&mut self, unit: &UnitId, within: Duration) -> Result<ReadyReport, NotReady> {
        let not_ready = |exit, unknown, what: &str| NotReady {
            exit,
            diagnosis: Diagnosis { exit, ..Diagnosis::new(what) },
            unknown,
        };
        let nature = self.nature(unit.release());
        if nature == Nature::DiesStarting {
            self.crash(unit, ExitStatus::Code(1));
        }
        let Some(machine) = self.units.get(unit) else { return Err(not_ready(None, true, "it is gone")) };
        match machine.status {
            UnitStatus::Created => Err(not_ready(None, true, "it does not run")),
            UnitStatus::Exited { exit, .. } => Err(not_ready(Some(exit), false, "it ended")),
            UnitStatus::Running { .. } if nature == Nature::NeverReady => {
                self.time += within;
                Err(not_ready(None, false, "it was not ready in time"))
            }
            UnitStatus::Running { .. } => Ok(ReadyReport {
                address: Some(machine.address),
                evidence: "GET / 200".to_owned(),
                took: Duration::from_millis(5),
                fixed_port: None,
                notes: Vec::new(),
            }),
        }
    }

    fn stop(&mut self, unit: &UnitId) -> Result<StopReport, ActionError> {
        if !self.units.contains_key(unit) {
            return Err(refused(PortErrorKind::NotFound, "no such unit"));
        }
        let exit = ExitStatus::Signal(15);
        self.crash(unit, exit);
        Ok(StopReport { exit, killed: false })
    }

    fn look(&self) -> Vec<UnitObserved> {
        let seen = |(id, machine): (&UnitId, &Machine)| UnitObserved {
            id: Some(id.clone()),
            name: id.to_string(),
            daemon: None,
            app: Some(self.app.to_string()),
            release: Some(id.release().clone()),
            status: machine.status.clone(),
            ip: None,
            port: None,
            exposed: Vec::new(),
            pid: None,
            runs: "app".to_owned(),
            adoptable: None,
        };
        self.units.iter().map(seen).collect()
    }

    fn address(&mut self) -> SocketAddr {
        self.ports += 1;
        SocketAddr::from(([10, 0, 0, 1], 1000 + self.ports))
    }
}

/// The error a port answers.
pub(crate) fn refused(kind: PortErrorKind, what: &str) -> ActionError {
    ActionError { kind, diagnosis: Diagnosis::new(what) }
}
