//! Steps that the targeted tests tell their stories with.

use std::time::Duration;

use nd_core::model::edit::Edit;
use nd_core::model::{Action, UnitAction};
use nd_core::records::{DeploymentRecord, DeploymentStatus};
use nd_types::{ReleaseId, StrategyName, UnitId};

use crate::laws::{Law, holds};
use crate::recipe::Recipe;
use crate::sim::{Outcome, Sim};

/// More steps than any of these stories takes.
const STEPS: usize = 400;

/// A daemon with an app whose first deployment has ended well.
pub(crate) fn running(
    recipe: impl Into<Recipe>,
    strategy: StrategyName,
    replicas: u16,
) -> Result<(Sim, ReleaseId), String> {
    let mut sim = Sim::new()?;
    let release = sim.deploy(recipe, strategy, replicas)?;
    sim.settle()?;
    Ok((sim, release))
}

impl Sim {
    /// Deploys a new release and begins with it.
    pub(crate) fn deploy(
        &mut self,
        recipe: impl Into<Recipe>,
        strategy: StrategyName,
        replicas: u16,
    ) -> Result<ReleaseId, String> {
        self.advance(Duration::from_millis(1));
        let edit = self.new_release(recipe.into(), strategy, Some(replicas))?;
        let Edit::Deploy(deploy) = &edit else { return Err("this is no deployment".to_owned()) };
        let release = deploy.deployment.release.clone();
        self.wish_for(&edit)?;
        Ok(release)
    }

    /// A wish that must be accepted, and the beginning of its fulfilment.
    pub(crate) fn wish_for(&mut self, edit: &Edit) -> Law {
        self.advance(Duration::from_millis(1));
        let accepted = self.ask(edit.clone())?;
        holds(accepted, || format!("refused: {edit:?}"))?;
        self.activate()
    }

    /// Lets actions end in their order, and time pass while there are none, until this holds.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Law {
        for _ in 0..STEPS {
            if holds(self) {
                return Ok(());
            }
            match self.wake_at {
                Some(at) if self.pending.is_empty() => {
                    self.advance(at.saturating_since(self.world.now().mono));
                }
                _ => self.advance(Duration::from_millis(1)),
            }
            self.complete(0, Outcome::Done);
            self.activate()?;
        }
        Err(format!("it never came to this: {what}"))
    }

    /// Ends the first action under way that fits.
    pub(crate) fn end(&mut self, outcome: Outcome, fits: impl Fn(&Action) -> bool) -> Law {
        let found = self.pending.iter().position(|pending| fits(&pending.action));
        let index = found.ok_or_else(|| format!("not under way; {:?} are", self.pending))?;
        self.advance(Duration::from_millis(1));
        self.complete(index, outcome);
        self.activate()
    }

    /// The unit ends, and the daemon hears of it and looks.
    pub(crate) fn crash(&mut self, unit: &UnitId, exit: nd_types::ExitStatus) -> Law {
        self.advance(Duration::from_millis(1));
        self.world.crash(unit, exit);
        self.model.look_again();
        self.activate()?;
        self.end(Outcome::Done, |action| matches!(action, Action::Observe { .. }))
    }

    /// Whether such an action is under way for the unit.
    pub(crate) fn does(&self, unit: &UnitId, fits: impl Fn(&UnitAction) -> bool) -> bool {
        self.pending
            .iter()
            .any(|pending| matches!(&pending.action, Action::Unit(id, action) if id == unit && fits(action)))
    }

    /// Whether a new table is on its way.
    pub(crate) fn applies(&self) -> bool {
        self.pending.iter().any(|pending| matches!(pending.action, Action::Apply(_)))
    }

    /// Whether the table leads to units of this release alone, to so many of them.
    pub(crate) fn routes_to(&self, release: &ReleaseId, units: usize) -> bool {
        let routed = self.world.routed();
        routed.len() == units && routed.iter().all(|unit| unit.release() == release)
    }

    /// The last deployment, which must have ended so.
    pub(crate) fn ended(&self, status: DeploymentStatus) -> Result<DeploymentRecord, String> {
        let last = self.model.deployment().cloned().ok_or("there was no deployment")?;
        holds(last.status == status, || format!("it ended otherwise: {last:?}"))?;
        Ok(last)
    }

    /// That the world is as it was asked for, with this release serving.
    pub(crate) fn serves_only(&self, release: &ReleaseId) -> Law {
        self.check_goal()?;
        let active = self.model.record().active.as_ref();
        holds(active == Some(release), || format!("{active:?} is active, not {release}"))?;
        holds(self.routes_to(release, usize::from(self.model.record().replicas)), || {
            format!("the table leads to {:?}", self.world.routed())
        })
    }
}
