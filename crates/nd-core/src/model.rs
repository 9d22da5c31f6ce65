//! The decisions of one app's reconciler: pure, without a task, a clock or a port.
//!
//! An [`AppModel`] holds what should be ([`AppRecord`]) and what is known to be (its units). Three things change it:
//! the user's edits ([`edit`]), what came of actions ([`AppModel::absorb`]), and time. [`AppModel::decide`] answers
//! what to start now. Nothing here waits, so a crash of a serving unit is answered in the same activation in which it
//! is learned, whatever else is under way.

mod absorb;
mod action;
mod canary;
mod crash;
mod decide;
pub mod edit;
mod mirror;
mod observe;
mod renew;
mod rollout;
mod routing;
mod sleep;
mod status;
mod steps;
mod together;
mod traffic;
mod unit;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::Mono;
use nd_types::{AppName, Backend, DeploymentId, ReleaseId, Timestamp, UnitId};

pub use action::{
    Action, ActionEnd, ActionError, CheckReport, Checks, NotReady, ReadyReport, RoutesServing, Started,
    StopReport, UnitAction,
};
pub use canary::CanaryStatus;
pub use crash::{CrashHistory, Verdict};
pub use decide::{Decision, Strategies};
pub use mirror::MirrorStatus;
pub use status::{AppPhase, AppStatus, UnitView};
pub use together::side_by_side;
pub use unit::{IllegalEvent, Unit, UnitEvent, UnitState};
pub use watch::Watch;

use crate::events::Event;
use crate::ports::{HintKind, Prepared};
use crate::records::{AppRecord, DeploymentRecord, Record, ReleaseRecord, RolloutStage, RunIntent};
use crate::routes::AppRoutes;
use crate::spec::{AppSpec, Dependency, Schedule};
use sleep::Idleness;
use steps::StepTracker;
use traffic::Gauge;

/// The moment of an activation, and its share of chance.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For measuring.
    pub mono: Mono,
    /// For records.
    pub wall: Timestamp,
    /// Between 0 and 1, for backoff.
    pub jitter: f64,
}

/// A fact the model learned or made, to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The unit it is about.
    pub unit: Option<UnitId>,
    /// The deployment it belongs to.
    pub deployment: Option<DeploymentId>,
    /// What.
    pub what: Event,
}

/// One release as its reconciler knows it.
#[derive(Clone, Debug)]
pub struct Release {
    /// What it consists of.
    pub spec: Arc<AppSpec>,
    /// What preparing it found out.
    pub prepared: Option<Prepared>,
    /// Its stored form.
    record: ReleaseRecord,
    /// Whether its units turned out to have no port.
    portless: bool,
}

/// Everything one app's reconciler knows.
#[derive(Clone, Debug)]
pub struct AppModel {
    record: AppRecord,
    releases: BTreeMap<ReleaseId, Release>,
    /// The deployment under way, or the last one.
    deployment: Option<DeploymentRecord>,
    units: BTreeMap<UnitId, Unit>,
    /// What the ingress has acknowledged.
    served: Option<AppRoutes>,
    /// Units that the ingress led to before this daemon began: they serve without being asked whether they are ready.
    trusted: BTreeMap<UnitId, Backend>,
    /// Whether that is what serves: not before the first acknowledgement, and not after a change whose fate is unknown.
    table_known: bool,
    /// Host ports that could not be opened, for people.
    port_faults: Vec<String>,
    applying: bool,
    preparing: Option<ReleaseId>,
    observing: bool,
    /// When an exit of each unit was last counted, as far as a daemon before this one knew.
    counted: BTreeMap<UnitId, Timestamp>,
    /// Whether the units have been looked at since the daemon started.
    observed: bool,
    /// Whether somebody wants them to be looked at again.
    look: bool,
    /// Counts what is learned, so that a slow look cannot overrule something newer.
    epoch: u64,
    /// Routes and releases are left alone until then, because the last attempt failed.
    routes_not_before: Option<Mono>,
    prepare_not_before: Option<Mono>,
    failures: u32,
    /// The last thing that went wrong at a port and has not gone right since.
    trouble: Option<String>,
    /// Why the units could not be looked at the last time.
    blind: Option<String>,
    steps: StepTracker,
    gauge: Gauge,
    idleness: Idleness,
    /// Which app must come up before this one starts.
    awaits_app: Option<String>,
    /// Whether a unit has been ready since the app last was to come up.
    came_up: bool,
    /// Whether a second unit stands in for the only one while that one is started anew.
    stand_in: bool,
    /// Whether the mirror is part of the pool, since one of the others cannot serve.
    fails_over: bool,
    /// When the schedule of the active release asks for a restart next.
    cron_next: Option<(Schedule, Timestamp)>,
    /// Whether the daemon is ending and takes its apps with it: nothing runs, although it should.
    suspended: bool,
    facts: Vec<Fact>,
    dirty: Vec<Record>,
}

impl AppModel {
    /// A model of the app as it was stored.
    #[must_use]
    pub fn new(
        record: AppRecord,
        releases: Vec<ReleaseRecord>,
        deployment: Option<DeploymentRecord>,
    ) -> Self {
        let releases = releases.into_iter().map(|record| (record.id.clone(), Release::new(record))).collect();
        Self {
            record,
            releases,
            deployment,
            units: BTreeMap::new(),
            served: None,
            trusted: BTreeMap::new(),
            table_known: false,
            port_faults: Vec::new(),
            applying: false,
            preparing: None,
            observing: false,
            counted: BTreeMap::new(),
            observed: false,
            look: true,
            epoch: 0,
            routes_not_before: None,
            prepare_not_before: None,
            failures: 0,
            trouble: None,
            blind: None,
            steps: StepTracker::default(),
            gauge: Gauge::default(),
            idleness: Idleness::default(),
            awaits_app: None,
            came_up: false,
            stand_in: false,
            fails_over: false,
            cron_next: None,
            suspended: false,
            facts: Vec::new(),
            dirty: Vec::new(),
        }
    }

    /// Takes over from a daemon whose ingress still leads to these backends.
    pub fn inherit(&mut self, backends: &[Backend]) {
        let mixed = self.record.rollout.as_ref().filter(|rollout| rollout.mixed > 0);
        let serving = [self.record.active.as_ref(), mixed.map(|rollout| &rollout.release)];
        let backends = backends.iter().filter(|backend| serving.contains(&Some(backend.unit.release())));
        self.trusted = backends.map(|backend| (backend.unit.clone(), backend.clone())).collect();
    }

    /// The app.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.record.app
    }

    /// What should be.
    #[must_use]
    pub fn record(&self) -> &AppRecord {
        &self.record
    }

    /// One of its releases.
    #[must_use]
    pub fn release(&self, id: &ReleaseId) -> Option<&Release> {
        self.releases.get(id)
    }

    /// Its units, those that do not exist yet included.
    #[must_use]
    pub fn units(&self) -> &BTreeMap<UnitId, Unit> {
        &self.units
    }

    /// What the ingress has acknowledged.
    #[must_use]
    pub fn served(&self) -> Option<&AppRoutes> {
        self.served.as_ref()
    }

    /// The deployment under way, or the last one.
    #[must_use]
    pub fn deployment(&self) -> Option<&DeploymentRecord> {
        self.deployment.as_ref()
    }

    /// The apps that must come up before units start: only while this one is coming up itself. What crashes later starts
    /// again at once, whatever has become of the others.
    #[must_use]
    pub fn dependencies(&self) -> &[Dependency] {
        let starts =
            self.record.rollout.as_ref().map(|rollout| &rollout.release).or(self.record.active.as_ref());
        let waits = self.run() == RunIntent::Running && !self.came_up;
        let spec = starts.filter(|_| waits).and_then(|release| self.spec_of(release));
        spec.map(|spec| spec.depends_on.as_slice()).unwrap_or_default()
    }

    /// Says which app this one waits for, if any.
    pub fn await_app(&mut self, awaited: Option<String>, now: Now) {
        if self.awaits_app == awaited {
            return;
        }
        if let Some(message) = &awaited {
            self.steps.progress(message, now, &mut self.facts, self.record.rollout.as_ref());
            self.fact(None, Event::Note { message: message.clone() });
        }
        self.awaits_app = awaited;
    }

    /// Whether nothing is known about the units yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        !self.observed
    }

    /// Says when an exit of a unit was last counted before this daemon began: the same exit is not counted again.
    pub fn counted_until(&mut self, unit: UnitId, at: Timestamp) {
        let counted = self.counted.entry(unit).or_insert(at);
        *counted = at.max(*counted);
    }

    /// Asks for a look at the units: a hint came, or the sweep is due.
    pub fn look_again(&mut self) {
        self.look = true;
    }

    /// Takes a hint that something happened to a unit. That it started is no news to who is starting it.
    pub fn hinted(&mut self, unit: &UnitId, kind: HintKind) {
        let doing = self.units.get(unit).and_then(|unit| unit.in_flight);
        let ours = matches!(doing, Some(UnitAction::Start(_) | UnitAction::WaitReady { .. }));
        if !(ours && kind == HintKind::Started) {
            self.look = true;
        }
    }

    /// The periodic sweep: looks again, and tries again what a port refused.
    pub fn sweep(&mut self) {
        self.look = true;
        if !self.port_faults.is_empty() {
            self.table_known = false;
        }
    }

    /// Stops everything until the next start of the daemon, without changing what should be.
    pub fn suspend(&mut self) {
        self.suspended = true;
    }

    /// Whether the app should run now.
    fn run(&self) -> RunIntent {
        match self.record.run {
            RunIntent::Running if self.suspended || self.record.asleep => RunIntent::Stopped,
            run => run,
        }
    }

    /// Whether the units of the active release are to run.
    fn runs_active(&self) -> bool {
        let left_stopped = self.record.rollout.as_ref().is_some_and(|rollout| self.leaves_stopped(rollout));
        self.run() == RunIntent::Running && !left_stopped
    }

    /// Whether somebody still waits for the unit to become ready: it is to serve, or its release is on its way.
    #[must_use]
    pub fn awaits(&self, id: &UnitId) -> bool {
        let record = &self.record;
        if self.run() != RunIntent::Running {
            return false;
        }
        if record.active.as_ref() == Some(id.release()) && id.slot() <= self.kept_slots() {
            return self.runs_active();
        }
        record.rollout.as_ref().is_some_and(|rollout| {
            (rollout.release == *id.release()) == (rollout.stage == RolloutStage::Advancing)
        })
    }

    /// Takes what was decided and published; what is left is empty.
    fn take_output(&mut self) -> (Vec<Fact>, Vec<Record>) {
        let mut records: Vec<Record> = Vec::new();
        for record in std::mem::take(&mut self.dirty) {
            let record = self.newest(record);
            if !records.contains(&record) {
                records.push(record);
            }
        }
        (std::mem::take(&mut self.facts), records)
    }

    /// The record as it is by now: a wish that was stored since it changed must not be overwritten with what was before.
    fn newest(&self, record: Record) -> Record {
        match record {
            Record::App(_) => Record::App(Box::new(self.record.clone())),
            Record::Deployment(old) => {
                let newer = self.deployment.as_ref().filter(|deployment| deployment.id == old.id);
                Record::Deployment(newer.map_or(old, |deployment| Box::new(deployment.clone())))
            }
            record => record,
        }
    }

    fn fact(&mut self, unit: Option<&UnitId>, what: Event) {
        let deployment = self.record.rollout.as_ref().map(|rollout| rollout.deployment.clone());
        self.facts.push(Fact { unit: unit.cloned(), deployment, what });
    }

    fn spec_of(&self, release: &ReleaseId) -> Option<&Arc<AppSpec>> {
        self.releases.get(release).map(|release| &release.spec)
    }

    fn unit_mut(&mut self, id: &UnitId, now: Now) -> &mut Unit {
        self.units.entry(id.clone()).or_insert_with(|| Unit::absent(now.wall))
    }

    /// The record changed: store it, and let waiting clients compare.
    fn touch(&mut self, now: Now) {
        self.record.updated_at = now.wall;
        self.dirty.push(Record::App(Box::new(self.record.clone())));
    }

    fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }
}

impl Release {
    fn new(record: ReleaseRecord) -> Self {
        let spec = Arc::new(AppSpec::from(&record.spec));
        let prepared = record.prepared.as_ref().map(Prepared::from);
        Self { spec, prepared, record, portless: false }
    }

    /// Its stored form.
    #[must_use]
    pub fn record(&self) -> &ReleaseRecord {
        &self.record
    }
}

/// Growing pause after the `failures`-th failure in a row of something that may pass: 100 ms doubling to 5 s.
fn retry_delay(failures: u32) -> Duration {
    Duration::from_millis(100)
        .saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(8)))
        .min(Duration::from_secs(5))
}
