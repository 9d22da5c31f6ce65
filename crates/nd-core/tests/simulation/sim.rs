//! A daemon that can be killed: the model, the actions under way and what is not stored yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nd_bluegreen::{BlueGreen, Canary, Recreate, Rolling};
use nd_core::events::Event;
use nd_core::model::edit::{DeployEdit, Edit, EditError};
use nd_core::model::{Action, ActionEnd, AppModel, CheckReport, Fact, NotReady, Strategies, UnitAction};
use nd_core::ports::{DeployStrategy, PortErrorKind};
use nd_core::records::{AppRecord, DeploymentRecord, DeploymentStatus, Record, ReleaseRecord};
use nd_supervise::Mono;
use nd_types::{AppName, DeploymentId, ReleaseId, StrategyName, UnitId};

use crate::laws::{self, Law};
use crate::recipe::Recipe;
use crate::world::{World, refused};

/// How long a deployment may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// An action under way; `end` is there when it has had its effect and only the report is still on its way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) action: Action,
    pub(crate) end: Option<ActionEnd>,
}

/// How an action ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As the world has it.
    Done,
    /// It was not done.
    Fails(PortErrorKind),
    /// It was done, and nobody heard of it in time.
    Unheard,
}

/// A daemon and the world around it.
pub(crate) struct Sim {
    pub(crate) model: AppModel,
    pub(crate) world: World,
    pub(crate) strategies: Strategies,
    pub(crate) pending: Vec<Pending>,
    /// Everything that was published.
    pub(crate) facts: Vec<Fact>,
    pub(crate) wake_at: Option<Mono>,
    /// The units as the last activation left them.
    pub(crate) before: laws::Before,
    /// The newest wish that was acknowledged.
    pub(crate) acknowledged: u64,
    /// The daemon is about to end, and the apps with it.
    pub(crate) suspended: bool,
    /// Decided by the last activation, and lost when the daemon is killed now.
    unstored: Vec<Record>,
    names: u32,
    /// What happened, when somebody wants to read it.
    trace: Option<Vec<String>>,
}

impl Sim {
    /// A daemon that knows an app nobody has asked anything of.
    pub(crate) fn new() -> Result<Self, String> {
        let app = AppName::new("shop").map_err(|error| error.to_string())?;
        let world = World::new(app.clone());
        let model = AppModel::new(AppRecord::new(app, world.wall()), Vec::new(), None);
        let strategies: [Arc<dyn DeployStrategy>; 4] =
            [Arc::new(BlueGreen), Arc::new(Recreate), Arc::new(Rolling), Arc::new(Canary)];
        let strategies = strategies.into_iter().map(|strategy| (strategy.name(), strategy)).collect();
        let mut sim = Self {
            model,
            world,
            strategies,
            pending: Vec::new(),
            facts: Vec::new(),
            wake_at: None,
            before: BTreeMap::new(),
            acknowledged: 0,
            suspended: false,
            unstored: Vec::new(),
            names: 0,
            trace: None,
        };
        sim.activate()?;
        Ok(sim)
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.world.time += by;
    }

    /// One activation: decides, checks what was decided, and begins it.
    pub(crate) fn activate(&mut self) -> Law {
        self.store();
        let now = self.world.now();
        let owed = laws::owed_starts(self);
        let decision = self.model.decide(now, &self.strategies);
        self.note(|| format!("    begin {}", brief(&decision.actions)));
        laws::check_actions(self, &decision.actions)?;
        laws::check_owed(&owed, &decision.actions)?;
        let begun = format!("{:?}", decision.actions);
        self.pending.extend(decision.actions.into_iter().map(|action| Pending { action, end: None }));
        self.unstored.extend(decision.records);
        self.facts.extend(decision.facts);
        self.wake_at = decision.wake_at;
        let again = self.model.decide(now, &self.strategies);
        if !again.actions.is_empty() || !again.records.is_empty() {
            return Err(format!("deciding again at once decides more: {again:?}\nat first: {begun}"));
        }
        self.before = laws::remember(self);
        laws::check_world(self)
    }

    /// Stores what was decided, unless the disk is full.
    pub(crate) fn store(&mut self) {
        if !self.world.disk_full {
            self.world.stored.append(self.unstored.drain(..));
        }
    }

    /// Whether everything that was decided is stored.
    pub(crate) fn is_stored(&self) -> bool {
        self.unstored.is_empty()
    }

    /// The action has its effect; its report is still on its way. A wait that is not over has none.
    pub(crate) fn take_effect(&mut self, index: usize) {
        let Some(pending) = self.pending.get_mut(index).filter(|pending| pending.end.is_none()) else {
            return;
        };
        let end = self.world.perform(&pending.action);
        if !matches!(end, ActionEnd::Warmed(_, Err(_))) {
            pending.end = Some(end);
        }
    }

    /// The action ends, and the model hears of it.
    pub(crate) fn complete(&mut self, index: usize, outcome: Outcome) {
        if index >= self.pending.len() {
            return;
        }
        let Pending { action, end } = self.pending.remove(index);
        let end = match outcome {
            Outcome::Done => end.unwrap_or_else(|| self.world.perform(&action)),
            Outcome::Fails(kind) => failed(&action, kind),
            Outcome::Unheard => {
                if end.is_none() {
                    self.world.perform(&action);
                }
                failed(&action, PortErrorKind::Timeout)
            }
        };
        self.note(|| format!("  end {}", brief(&end)));
        self.model.absorb(end, self.world.now());
    }

    /// Keeps a trace from now on.
    pub(crate) fn keep_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Adds a line to the trace, if one is kept.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let time = self.world.time.as_millis();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{time:>8} {}", line()));
        }
    }

    /// The last lines of the trace.
    pub(crate) fn trace(&self) -> String {
        let lines = self.trace.as_deref().unwrap_or_default();
        lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n")
    }

    /// The daemon is killed and started again. What it was doing has its effect where `effects` says so; what it
    /// decided last is stored or lost.
    pub(crate) fn kill(&mut self, effects: u32, stored: bool, table_survives: bool) -> Law {
        for (index, pending) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if pending.end.is_none() && effects >> (index % 32) & 1 == 1 {
                self.world.perform(&pending.action);
            }
        }
        if stored {
            self.store();
        }
        self.unstored.clear();
        self.note(|| "killed".to_owned());
        if !table_survives {
            self.world.table = None;
            self.world.requests.clear();
        }
        let app = self.world.app.clone();
        let stored = &self.world.stored;
        let record = stored.app.clone().unwrap_or_else(|| AppRecord::new(app, self.world.wall()));
        self.model =
            AppModel::new(record, stored.releases.values().cloned().collect(), stored.last_deployment());
        if let Some(table) = &self.world.table {
            self.model.inherit(&table.service.backends);
        }
        self.before = BTreeMap::new();
        self.suspended = false;
        self.activate()
    }

    /// The daemon ends, stops the apps before it does, and is started again.
    pub(crate) fn end_with_apps(&mut self) -> Law {
        self.suspended = true;
        self.model.suspend();
        self.activate()?;
        for _ in 0..100 {
            if self.pending.is_empty() && self.world.running().count() == 0 {
                break;
            }
            self.advance(Duration::from_millis(100));
            self.complete(0, Outcome::Done);
            self.activate()?;
        }
        self.kill(0, true, false)
    }

    /// A wish: checked, stored, acknowledged.
    pub(crate) fn ask(&mut self, edit: Edit) -> Result<bool, String> {
        self.wish(edit, true)
    }

    /// A wish that is stored by a daemon that is killed before it can act on it.
    pub(crate) fn ask_and_die(&mut self, edit: Edit) -> Law {
        self.wish(edit, false)?;
        self.kill(0, true, false)
    }

    fn wish(&mut self, edit: Edit, lives: bool) -> Result<bool, String> {
        self.store();
        if !self.is_stored() || self.world.disk_full {
            return Ok(false);
        }
        match self.model.edit(edit, self.world.now()) {
            Ok(edited) => {
                self.world.stored.append(edited.records());
                if edited.revision() <= self.acknowledged {
                    return Err(format!("wish {} comes after {}", edited.revision(), self.acknowledged));
                }
                self.acknowledged = edited.revision();
                if lives {
                    self.model.accept(edited);
                }
                Ok(true)
            }
            Err(
                EditError::Busy(_)
                | EditError::NothingToRun
                | EditError::ReleaseGone(_)
                | EditError::ServesAlready(_)
                | EditError::NotUnderWay(_)
                | EditError::NoCanary(_)
                | EditError::NoInstances
                | EditError::OnlyOne(_)
                | EditError::OnePlace(_)
                | EditError::NoRoutes
                | EditError::NoSuchDomain(_)
                | EditError::OwnName(_)
                | EditError::Protected
                | EditError::Removing,
            ) => Ok(false),
        }
    }

    /// A deployment of a new release.
    pub(crate) fn new_release(
        &mut self,
        recipe: Recipe,
        strategy: StrategyName,
        replicas: Option<u16>,
    ) -> Result<Edit, String> {
        let release: ReleaseId = self.name("r")?;
        self.world.natures.insert(release.clone(), recipe.nature);
        let record = ReleaseRecord {
            id: release.clone(),
            app: self.world.app.clone(),
            deployment: None,
            created_at: self.world.wall(),
            adopted: None,
            prepared: None,
            spec: (&recipe.spec()).into(),
        };
        self.deployment(release, Some(record), strategy, replicas)
    }

    /// A deployment of a release that is kept.
    pub(crate) fn old_release(&mut self, release: ReleaseId, strategy: StrategyName) -> Result<Edit, String> {
        self.deployment(release, None, strategy, None)
    }

    fn deployment(
        &mut self,
        release: ReleaseId,
        record: Option<ReleaseRecord>,
        strategy: StrategyName,
        replicas: Option<u16>,
    ) -> Result<Edit, String> {
        let id: DeploymentId = self.name("dpl_")?;
        let wall = self.world.wall();
        let deployment = DeploymentRecord {
            id,
            app: self.world.app.clone(),
            revision: 0,
            release,
            previous: self.model.record().active.clone(),
            status: DeploymentStatus::Running,
            created_at: wall,
            finished_at: None,
            strategy,
            strategy_reason: None,
            actor: "test".to_owned(),
            message: None,
            request: None,
            error: None,
            notes: Vec::new(),
            receipt: None,
        };
        let deadline = wall.saturating_add(DEADLINE).map_err(|error| error.to_string())?;
        Ok(Edit::Deploy(Box::new(DeployEdit {
            deployment,
            release: record,
            replicas,
            protected: None,
            ingress: None,
            deadline,
        })))
    }

    fn name<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, prefix: &str) -> Result<T, String> {
        self.names += 1;
        format!("{prefix}{:05}", self.names).parse().map_err(|error: T::Err| error.to_string())
    }

    /// What was published, in the words of the API.
    pub(crate) fn said(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.facts.iter().filter(|fact| what(&fact.what)).count()
    }

    pub(crate) fn unit(&self, release: &ReleaseId, slot: u16) -> UnitId {
        UnitId::new(&self.world.app, release, slot)
    }
}

/// The debug form without what every line repeats.
fn brief(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    let words = text.split(", ").filter(|word| {
        let noise = [
            "app:",
            "release:",
            "slot:",
            "limits:",
            "response_header",
            "hold",
            "routes:",
            "host:",
            "path:",
            "host_ports:",
        ];
        !noise.iter().any(|noise| word.starts_with(noise))
    });
    words.collect::<Vec<_>>().join(", ").replace("UnitId { text: ", "")
}

fn failed(action: &Action, kind: PortErrorKind) -> ActionEnd {
    let error = refused(kind, "it went wrong");
    match action {
        Action::Observe { epoch } => ActionEnd::Observed { epoch: *epoch, result: Err(error) },
        Action::Prepare(release) => ActionEnd::Prepared(release.clone(), Err(error)),
        Action::Apply(routes) => ActionEnd::Applied(routes.clone(), Err(error)),
        Action::Withdraw => ActionEnd::Withdrawn(Err(error)),
        Action::Measure => ActionEnd::Measured(Err(error)),
        Action::Check { unit, since, .. } => ActionEnd::Checked(unit.clone(), *since, CheckReport::default()),
        Action::Unit(unit, action) => {
            let unit = unit.clone();
            match action {
                UnitAction::Create => ActionEnd::Created(unit, Err(error)),
                UnitAction::Start(_) => ActionEnd::Started(unit, Err(error)),
                UnitAction::WaitReady { .. } => ActionEnd::Warmed(
                    unit,
                    Err(NotReady { exit: None, diagnosis: error.diagnosis, unknown: true }),
                ),
                UnitAction::Drain => ActionEnd::Drained(unit, Err(error)),
                UnitAction::Stop => ActionEnd::Stopped(unit, Err(error)),
                UnitAction::Remove => ActionEnd::Removed(unit, Err(error)),
            }
        }
    }
}
