//! Plans are data: what is left to do, in order, before anything is done.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use nd_types::{ReleaseId, Split, UnitId};

/// What is left to do. Stages follow each other; the steps of one stage run side by side.
///
/// A plan is never resumed: after each step the world is looked at again and a new plan is made, which is why a daemon
/// that was killed in the middle just goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The stages; none is empty.
    pub stages: Vec<Vec<Step>>,
    /// Units of the old release that now belong to this plan, so that nobody else may start them again.
    pub owned: BTreeSet<UnitId>,
    /// What the routes lead to until a step says otherwise; absent: to the release that serves alone.
    pub mix: Option<Mix>,
}

/// A table that leads to both releases.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mix {
    /// Which one it is of those that the deployment goes through; it grows.
    pub number: u16,
    /// The units it leads to; those that cannot serve at the moment are left out.
    pub units: Vec<UnitId>,
    /// Which clients get the new release, where that is not left to the load of the units.
    pub split: Option<Split>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Make sure that units of the release can be created.
    Prepare(ReleaseId),
    /// Create a unit.
    Create(UnitId),
    /// Start a unit.
    Start(UnitId),
    /// Wait until a unit can serve.
    WaitReady(UnitId),
    /// Route requests to exactly these units and wait until that serves; to none, and requests wait.
    Apply(Vec<UnitId>),
    /// Route requests to units of both releases and wait until that serves.
    Mix(Mix),
    /// Watch how the new release does in the mix that serves.
    Watch {
        /// How many of a hundred clients get it.
        percent: u8,
        /// For how long.
        pause: Duration,
    },
    /// Wait until no request is in flight on a unit that is not routed.
    Drain(UnitId),
    /// Stop a unit and keep it.
    Stop(UnitId),
    /// Remove a unit.
    Remove(UnitId),
}

impl Plan {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stages.is_empty()
    }

    /// Adds a stage, unless it is empty.
    pub fn stage(&mut self, steps: impl IntoIterator<Item = Step>) {
        let steps: Vec<Step> = steps.into_iter().collect();
        if !steps.is_empty() {
            self.stages.push(steps);
        }
    }

    /// Every unit the plan names, in whatever stage.
    #[must_use]
    pub fn units(&self) -> BTreeSet<UnitId> {
        let mut units = BTreeSet::new();
        for step in self.stages.iter().flatten() {
            match step {
                Step::Apply(routed) | Step::Mix(Mix { units: routed, .. }) => {
                    units.extend(routed.iter().cloned());
                }
                step => units.extend(step.unit().cloned()),
            }
        }
        units
    }

    /// The steps to do now.
    #[must_use]
    pub fn next_steps(&self) -> &[Step] {
        self.stages.first().map_or(&[], Vec::as_slice)
    }
}

impl Step {
    /// The unit the step works on, if it is one.
    #[must_use]
    pub fn unit(&self) -> Option<&UnitId> {
        match self {
            Self::Create(unit)
            | Self::Start(unit)
            | Self::WaitReady(unit)
            | Self::Drain(unit)
            | Self::Stop(unit)
            | Self::Remove(unit) => Some(unit),
            Self::Prepare(_) | Self::Apply(_) | Self::Mix(_) | Self::Watch { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(release) => write!(f, "prepare release {release}"),
            Self::Create(unit) => write!(f, "create {unit}"),
            Self::Start(unit) => write!(f, "start {unit}"),
            Self::WaitReady(unit) => write!(f, "wait until {unit} is ready"),
            Self::Apply(units) if units.is_empty() => f.write_str("hold requests"),
            Self::Mix(Mix { split: Some(split), .. }) => write!(f, "lead {split}"),
            Self::Watch { percent, pause } => {
                write!(f, "watch how {percent}% of clients fare for {}", nd_types::format_duration(*pause))
            }
            Self::Apply(units) | Self::Mix(Mix { units, .. }) => {
                f.write_str("route to ")?;
                for (i, unit) in units.iter().enumerate() {
                    write!(f, "{}{unit}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Drain(unit) => write!(f, "drain {unit}"),
            Self::Stop(unit) => write!(f, "stop {unit}"),
            Self::Remove(unit) => write!(f, "remove {unit}"),
        }
    }
}
