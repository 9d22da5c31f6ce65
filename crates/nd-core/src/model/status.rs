//! What an app is doing, for people and for those who wait.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use nd_types::{AppName, DeploymentId, ExitStatus, Gate, IngressKind, ReleaseId, Timestamp, UnitId};

use super::AppModel;
use super::canary::CanaryStatus;
use super::crash::Verdict;
use super::mirror::MirrorStatus;
use super::unit::{Unit, UnitState};
use crate::plan::Plan;
use crate::records::{DeploymentRecord, DomainsRecord, RolloutStage, RunIntent};
use crate::spec::{AppSpec, RouteSpec};

/// A summary for people; nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppPhase {
    /// A release is on its way to serve.
    Deploying,
    /// All instances serve.
    Running,
    /// Some instances do not.
    Degraded,
    /// A release has failed and the one before is brought back.
    RollingBack,
    /// Nothing serves and nothing will by itself, or not soon.
    Failed,
    /// Nothing runs, because nobody has asked for it; the next request wakes it.
    Sleeping,
    /// Instances are being stopped.
    Stopping,
    /// Nothing runs, as asked.
    Stopped,
    /// Everything is being removed.
    Removing,
}

impl fmt::Display for AppPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::RollingBack => "rolling back",
            Self::Failed => "failed",
            Self::Sleeping => "sleeping",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Removing => "removing",
        })
    }
}

/// An app at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct AppStatus {
    /// The app.
    pub app: AppName,
    /// The newest wish it knows.
    pub revision: u64,
    /// Whether its units have been looked at since the daemon began: until then, none is known to serve.
    pub observed: bool,
    /// Whether everything is as wished, or will not get any closer by itself.
    pub settled: bool,
    /// Summary.
    pub phase: AppPhase,
    /// Why it is not running, where there is a reason.
    pub reason: Option<String>,
    /// Whether it should run.
    pub run: RunIntent,
    /// Instances it should have.
    pub replicas: u16,
    /// Instances that serve.
    pub ready: u16,
    /// The release that serves, or should.
    pub release: Option<ReleaseId>,
    /// What that release consists of; of the one on its way, while there is no other.
    pub spec: Option<Arc<AppSpec>>,
    /// The deployment under way.
    pub rollout: Option<DeploymentId>,
    /// The release that is tried with some of the clients.
    pub canary: Option<CanaryStatus>,
    /// The instance that stands by for the others.
    pub mirror: Option<MirrorStatus>,
    /// The deployment under way, or the last one.
    pub deployment: Option<DeploymentRecord>,
    /// Releases that can be rolled back to, newest first.
    pub kept: Vec<ReleaseId>,
    /// The port the app insists on although another one was leased to it.
    pub fixed_port: Option<NonZeroU16>,
    /// Whether only a wish that insists removes it.
    pub protected: bool,
    /// What stands in front of it.
    pub gate: Gate,
    /// What brings its requests; what the daemon does so by itself where it is absent.
    pub ingress: Option<IngressKind>,
    /// Domains that were given to it and taken from it, beside what its release declares.
    pub domains: DomainsRecord,
    /// Whether its hosts and paths serve as they should.
    pub routed: bool,
    /// Its units that exist, in the order of their ids.
    pub units: Vec<UnitView>,
    /// When its intent last changed.
    pub updated_at: Timestamp,
}

/// A unit at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitView {
    /// The unit.
    pub id: UnitId,
    /// What it does, in one word.
    pub state: &'static str,
    /// Whether it serves.
    pub ready: bool,
    /// Whether requests are routed to it.
    pub routed: bool,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Main process on the host.
    pub pid: Option<u32>,
    /// When it started, while it runs.
    pub started: Option<Timestamp>,
    /// How often it was started again since the daemon began to watch it.
    pub restarts: u32,
    /// How it ended, when it did so by itself.
    pub exit: Option<ExitStatus>,
}

impl AppStatus {
    /// The hosts and paths that lead to it, those that its release declares first.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteSpec> {
        let release = self.release.as_ref();
        self.spec.as_ref().map(|spec| self.domains.routes(release, spec)).unwrap_or_default()
    }

    /// What its release declares, without the domains that were taken away since: what another release begins with that
    /// is to be like it.
    #[must_use]
    pub fn declared(&self) -> Option<Cow<'_, AppSpec>> {
        let (spec, domains) = (self.spec.as_deref()?, &self.domains);
        let taken = DomainsRecord { removed: domains.removed.clone(), ..DomainsRecord::default() };
        if taken.is_empty() {
            return Some(Cow::Borrowed(spec));
        }
        Some(Cow::Owned(AppSpec { routes: taken.routes(self.release.as_ref(), spec), ..spec.clone() }))
    }
}

impl AppModel {
    /// The app as it is now.
    #[must_use]
    pub fn status(&self) -> AppStatus {
        let record = &self.record;
        let rollout = record.rollout.as_ref();
        let shown = record.active.as_ref().or(rollout.map(|rollout| &rollout.release));
        let last = self.deployment.as_ref().map(|deployment| &deployment.release);
        let ready = self.serving_units().count();
        let (phase, reason) = self.phase();
        let reason = reason.or_else(|| gated(record.gate).map(str::to_owned));
        AppStatus {
            app: record.app.clone(),
            revision: record.revision,
            observed: self.observed,
            settled: self.is_settled(),
            phase,
            reason,
            run: record.run,
            replicas: record.replicas,
            ready: u16::try_from(ready).unwrap_or(u16::MAX),
            release: record.active.clone(),
            spec: shown.or(last).and_then(|release| self.spec_of(release)).cloned(),
            rollout: rollout.map(|rollout| rollout.deployment.clone()),
            canary: self.canary_status(),
            mirror: self.mirror_status(),
            deployment: self.deployment.clone(),
            kept: record.kept.clone(),
            fixed_port: record.fixed_port,
            protected: record.protected,
            gate: record.gate,
            ingress: record.ingress,
            domains: record.domains.clone(),
            routed: self.serves_its_routes(),
            units: self
                .units
                .iter()
                .filter(|(_, unit)| exists(unit))
                .map(|(id, unit)| self.view(id, unit))
                .collect(),
            updated_at: record.updated_at,
        }
    }

    /// Whether an app that is to be removed has nothing left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.record.run == RunIntent::Removed
            && self.observed
            && self.served.is_none()
            && self.table_known
            && !self.applying
            && self.units.values().all(|unit| unit.state == UnitState::Absent && unit.is_idle())
    }

    fn view(&self, id: &UnitId, unit: &Unit) -> UnitView {
        let exit = match unit.state {
            UnitState::Crashed(exit) => Some(exit),
            _ => None,
        };
        UnitView {
            id: id.clone(),
            state: state_word(unit),
            ready: unit.state == UnitState::Ready && !unit.watch.is_out(),
            routed: self.is_routed(id),
            address: unit.address,
            pid: unit.pid,
            started: unit.started.filter(|_| unit.state.is_running()),
            restarts: unit.restarts,
            exit,
        }
    }

    pub(super) fn serving_units(&self) -> impl Iterator<Item = &UnitId> {
        let active = self.record.active.as_ref();
        let serving = move |(id, unit): &(&UnitId, &Unit)| {
            let ours = Some(id.release()) == active || self.is_taking_over(id.release());
            ours && unit.state == UnitState::Ready && self.is_routed(id)
        };
        self.units.iter().filter(serving).map(|(id, _)| id)
    }

    /// Whether nothing of the app serves, as far as that is known.
    pub(super) fn serves_nothing(&self) -> bool {
        self.record.active.is_none() || (self.observed && self.serving_units().next().is_none())
    }

    fn wanted_units(&self) -> impl Iterator<Item = &Unit> {
        let record = &self.record;
        self.units
            .iter()
            .filter(|(id, _)| Some(id.release()) == record.active.as_ref() && id.slot() <= self.kept_slots())
            .map(|(_, unit)| unit)
    }

    fn is_settled(&self) -> bool {
        let busy =
            self.applying || self.preparing.is_some() || self.units.values().any(|unit| !unit.is_idle());
        if busy || !self.observed || self.has_strays() || (self.record.rollout.is_some() && !self.suspended) {
            return false;
        }
        let running = self.units.values().any(|unit| unit.state.is_running());
        match self.run() {
            RunIntent::Stopped => !running,
            RunIntent::Removed => self.is_gone(),
            RunIntent::Running => {
                let calm = |unit: &Unit| unit.can_serve() || unit.has_given_up();
                let restarting = self.units.keys().any(|id| self.must_restart(id));
                let routed = self.table_known && self.route_goal(&Plan::default()) == self.served;
                let serves = self.record.active.is_none()
                    || (self.wanted_units().all(calm)
                        && self.wanted_units().count() == usize::from(self.kept_slots())
                        && !restarting);
                routed && serves
            }
        }
    }

    /// Whether the table that serves leads to the app from every host and path that it should, and from no other.
    fn serves_its_routes(&self) -> bool {
        let goal = self.route_goal(&Plan::default());
        let same = match (&goal, &self.served) {
            (Some(goal), Some(served)) => goal.routes == served.routes,
            (goal, served) => goal.is_none() && served.is_none(),
        };
        self.table_known && !self.applying && same
    }

    /// Whether there are units that should not exist, or run and should not.
    fn has_strays(&self) -> bool {
        let record = &self.record;
        self.units.iter().any(|(id, unit)| {
            let active = record.active.as_ref() == Some(id.release()) && id.slot() <= self.kept_slots();
            let exists = unit.state != UnitState::Absent || unit.in_doubt;
            !active && (unit.may_run() || (exists && !record.kept.contains(id.release())))
        })
    }

    fn phase(&self) -> (AppPhase, Option<String>) {
        let record = &self.record;
        let running = self.units.values().any(|unit| unit.state.is_running());
        match (self.run(), &record.rollout) {
            (RunIntent::Removed, _) => return (AppPhase::Removing, None),
            (RunIntent::Stopped, _) if self.sleeps() => {
                return (AppPhase::Sleeping, Some(self.sleep_reason()));
            }
            (RunIntent::Stopped, _) if running => return (AppPhase::Stopping, None),
            (RunIntent::Stopped, _) => return (AppPhase::Stopped, None),
            (RunIntent::Running, Some(rollout)) => {
                return match &rollout.stage {
                    RolloutStage::Advancing => (AppPhase::Deploying, self.hindrance()),
                    RolloutStage::Undoing(diagnosis) => (AppPhase::RollingBack, Some(diagnosis.what.clone())),
                };
            }
            (RunIntent::Running, None) => {}
        }
        let serving = self.serving_units().count();
        if record.active.is_none() {
            let error = self.deployment.as_ref().and_then(|deployment| deployment.error.as_ref());
            return (AppPhase::Failed, error.map(|error| error.what.clone()));
        }
        if serving >= usize::from(record.replicas) {
            let fault = self.port_faults.first().map(|fault| format!("cannot listen on {fault}"));
            let stands_in = || {
                record
                    .failover
                    .map(|_| "the mirror serves in the place of an instance that failed".to_owned())
            };
            return (AppPhase::Running, fault.or_else(stands_in));
        }
        let unseen = || (!self.observed).then(|| "the daemon has just started and looks at it".to_owned());
        let reason = self.hindrance().or_else(|| self.unit_trouble()).or_else(unseen);
        let hopeless = self.wanted_units().all(|unit| {
            matches!(unit.state, UnitState::Crashed(_) | UnitState::Absent) && unit.has_given_up()
        });
        let completed = |unit: &Unit| matches!(unit.state, UnitState::Crashed(exit) if exit.is_success());
        if hopeless && self.observed && self.wanted_units().all(completed) {
            return (AppPhase::Stopped, Some("it has ended with success".to_owned()));
        }
        if hopeless && self.observed { (AppPhase::Failed, reason) } else { (AppPhase::Degraded, reason) }
    }

    /// What stands in the way at a port.
    pub(super) fn hindrance(&self) -> Option<String> {
        self.trouble.clone().or_else(|| self.awaits_app.clone()).or_else(|| self.blind.clone())
    }

    /// Why an instance does not serve.
    fn unit_trouble(&self) -> Option<String> {
        self.wanted_units().find_map(|unit| {
            let exit = match unit.state {
                UnitState::Crashed(exit) => exit,
                UnitState::Absent if unit.crashes.verdict() == Verdict::Final => {
                    return Some("removed by somebody else, and not to be restarted".to_owned());
                }
                UnitState::Ready if unit.watch.is_out() => {
                    return Some("an instance fails its health checks".to_owned());
                }
                _ => return None,
            };
            Some(match unit.crashes.verdict() {
                Verdict::Loop { crashes, .. } => {
                    format!("crash loop: {crashes} crashes, the last with {exit}")
                }
                Verdict::Final => format!("ended with {exit}"),
                Verdict::Free | Verdict::At(_) => format!("restarting after {exit}"),
            })
        })
    }
}

fn exists(unit: &Unit) -> bool {
    unit.state != UnitState::Absent || unit.in_flight.is_some()
}

fn state_word(unit: &Unit) -> &'static str {
    if let Some(action) = unit.in_flight {
        return action.doing();
    }
    match unit.state {
        UnitState::Absent => "absent",
        UnitState::Created => "created",
        UnitState::Warming => "warming",
        UnitState::Ready if unit.watch.is_out() => "unhealthy",
        UnitState::Ready => "ready",
        UnitState::Stopped => "stopped",
        UnitState::Crashed(_) => match unit.crashes.verdict() {
            Verdict::Final => "exited",
            Verdict::Loop { .. } => "crash loop",
            Verdict::Free | Verdict::At(_) => "backoff",
        },
    }
}

/// What stands in front of an app, in words.
fn gated(gate: Gate) -> Option<&'static str> {
    match gate {
        Gate::Maintenance { .. } => Some("under maintenance"),
        Gate::Paused { .. } | Gate::Open => None,
    }
}
