//! What an app should be, as it is stored.

use std::num::NonZeroU16;
use std::time::Duration;

use nd_types::{AppName, DeploymentId, Gate, IngressKind, ReleaseId, StrategyName, Timestamp};
use serde::{Deserialize, Serialize};

use super::DomainsRecord;
use crate::diagnosis::Diagnosis;
use crate::ports::{AppTraffic, ReleaseTraffic};

/// The whole intent about one app. The record of a removed app stays as its tombstone, so that a unit of it that turns
/// up later is removed and not adopted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppRecord {
    /// The app.
    pub app: AppName,
    /// Counts the edits; what a waiting client compares with.
    pub revision: u64,
    /// Whether it should run.
    pub run: RunIntent,
    /// Whether it sleeps although it should run, because nobody has asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asleep: bool,
    /// How many instances it should have.
    pub replicas: u16,
    /// The release that serves, or should.
    pub active: Option<ReleaseId>,
    /// The deployment under way.
    pub rollout: Option<RolloutRecord>,
    /// Releases that can be rolled back to, newest first, without the active one.
    pub kept: Vec<ReleaseId>,
    /// When the user last asked for the app to run: units that ended before are started whatever the policy says.
    pub run_asked_at: Timestamp,
    /// Units that started before this time are to be started anew.
    pub restart_before: Option<Timestamp>,
    /// Whether that restart is to be noticed by nobody: `reload`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart_gently: bool,
    /// The fixed port that the app listens on although another one was leased to it.
    pub fixed_port: Option<NonZeroU16>,
    /// Whether only a wish that insists removes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// The release on probation, and what to go back to.
    pub bake: Option<BakeRecord>,
    /// What stands in front of it.
    #[serde(default, skip_serializing_if = "Gate::is_open")]
    pub gate: Gate,
    /// What brings requests to it; what the daemon does so by itself where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressKind>,
    /// Domains that were given to it and taken from it, whatever its releases declare.
    #[serde(default, skip_serializing_if = "DomainsRecord::is_empty")]
    pub domains: DomainsRecord,
    /// Since when the mirror serves in the place of a unit that has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Timestamp>,
    /// When the intent last changed.
    pub updated_at: Timestamp,
}

impl AppRecord {
    /// An app nobody has asked anything of yet.
    #[must_use]
    pub fn new(app: AppName, now: Timestamp) -> Self {
        Self {
            app,
            revision: 0,
            run: RunIntent::Running,
            asleep: false,
            replicas: 1,
            active: None,
            rollout: None,
            kept: Vec::new(),
            run_asked_at: now,
            restart_before: None,
            restart_gently: false,
            fixed_port: None,
            protected: false,
            bake: None,
            gate: Gate::Open,
            ingress: None,
            domains: DomainsRecord::default(),
            failover: None,
            updated_at: now,
        }
    }
}

/// Whether an app should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunIntent {
    /// It should.
    Running,
    /// The user stopped it.
    Stopped,
    /// It is to vanish; the record then stays as a tombstone.
    Removed,
}

/// A deployment under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The release that is to serve.
    pub release: ReleaseId,
    /// How it takes over.
    pub strategy: StrategyName,
    /// How many instances it is to have.
    pub replicas: u16,
    /// How many instances the release before had.
    pub old_replicas: u16,
    /// The user had stopped the app: the release before stays stopped, and the app with it if the attempt fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_stopped: bool,
    /// Nothing served when it began: the app was stopped, had ended or had failed, so that nothing can be lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_idle: bool,
    /// When the attempt is given up; on the way back, when that is.
    pub deadline: Timestamp,
    /// The number of the last mix of both releases that has served, where the strategy goes through such.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mixed: u16,
    /// How a release that is tried stands.
    #[serde(default, skip_serializing_if = "CanaryRecord::is_new")]
    pub canary: CanaryRecord,
    /// What the counters of the app stood at before the first table changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<AppTraffic>>,
    /// Forward or back.
    pub stage: RolloutStage,
}

/// How the trial of a release stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryRecord {
    /// Since when the last mix serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The number of the last mix in which it has done well for as long as it had to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub watched: u16,
    /// The user has seen enough: it takes over now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub promoted: bool,
}

impl CanaryRecord {
    fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// How long the way back may take before it is given up.
pub(crate) const UNDO_LIMIT: Duration = Duration::from_secs(120);

impl RolloutRecord {
    /// The release failed: from now on the way leads back, for as long as that may take.
    pub(crate) fn turn_back(&mut self, why: Diagnosis, now: Timestamp) {
        self.stage = RolloutStage::Undoing(why);
        self.deadline = now.saturating_add(UNDO_LIMIT).unwrap_or(now);
    }
}

/// Which way a deployment goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStage {
    /// Towards the new release.
    Advancing,
    /// Back to the old one, because of this.
    Undoing(Diagnosis),
}

/// A release on probation: when it does badly before `until`, the app goes back to `previous`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakeRecord {
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// The release before.
    pub previous: ReleaseId,
    /// When the probation ends.
    pub until: Timestamp,
    /// What it is compared with, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<BakeReference>,
}

/// What a release on probation is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakeReference {
    /// How the release before has answered.
    pub previous: ReleaseTraffic,
    /// What the counters of the new release stood at when its deployment began.
    pub began_at: ReleaseTraffic,
}
