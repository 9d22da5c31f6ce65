//! How one release replaces another.

use std::num::NonZeroU16;

use nd_types::{ReleaseId, StrategyName, UnitId};

use super::runtime::RuntimeCaps;
use crate::plan::Plan;
use crate::spec::{AppSpec, CanarySpec};

/// Plans the way from what is to what should be. Pure: the same input gives the same plan, so a plan can be tested
/// without an engine, shown to the user, and is exactly what runs.
pub trait DeployStrategy: Send + Sync + 'static {
    /// Its name in `strategy:`.
    fn name(&self) -> StrategyName;

    /// Whether this strategy can be used for the app at all.
    ///
    /// # Errors
    /// Why not, for the user: `volume data is writable: two versions must never share it`.
    fn check(&self, spec: &AppSpec, caps: RuntimeCaps, fixed_port: Option<NonZeroU16>) -> Result<(), String>;

    /// What is left to do until the new release serves alone. An empty plan means: done.
    fn plan(&self, input: &PlanInput<'_>) -> Plan;

    /// What is left to do until the old release serves alone again, after the new one has failed.
    fn undo(&self, input: &PlanInput<'_>) -> Plan;
}

/// What a strategy may look at.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// The release that is to serve.
    pub new: &'a ReleaseId,
    /// The release that serves, if any does; never the new one.
    pub old: Option<&'a ReleaseId>,
    /// Whether the new release has taken over: the routes have led to it alone, and it counts as the active one.
    pub switched: bool,
    /// The number of the last [`Mix`](crate::plan::Mix) of both releases that has served; 0 before the first.
    pub mixed: u16,
    /// How the new release is to be tried; absent where there is nothing to try it beside.
    pub canary: Option<&'a CanarySpec>,
    /// The number of the last mix in which it has done well for as long as it had to.
    pub watched: u16,
    /// Whether the user has seen enough of the trial: the new release takes over now.
    pub promoted: bool,
    /// Whether the new release has been prepared.
    pub prepared: bool,
    /// How many instances the new release is to have.
    pub replicas: u16,
    /// How many instances the old release has.
    pub old_replicas: u16,
    /// Every unit of both releases that exists or is to exist, in the order of its id.
    pub units: Vec<UnitInput>,
}

/// One unit as a strategy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitInput {
    /// Its id.
    pub id: UnitId,
    /// How far it is.
    pub readiness: UnitReadiness,
    /// Whether the table that serves names it.
    pub routed: bool,
    /// Whether the ingress has confirmed that no request is in flight on it.
    pub drained: bool,
}

/// How far a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnitReadiness {
    /// It does not exist.
    Absent,
    /// It exists and does not run.
    Stopped,
    /// Its start is under way, or failed and may have had its effect all the same.
    Starting,
    /// It runs, and whether it can serve is not known yet.
    Running,
    /// It can serve.
    Ready,
}
