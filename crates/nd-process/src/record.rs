//! What a unit is, as it lies in its directory.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use nd_core::spec::{AppSpec, CommandSpec};
use nd_types::{DaemonId, UnitId};
use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// The content of `unit.json`. Fields are only ever added, with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    /// Its id.
    pub(crate) id: UnitId,
    /// The daemon it belongs to.
    pub(crate) daemon: DaemonId,
    /// The port that was leased for it.
    pub(crate) port: NonZeroU16,
    /// Whether it must have that port and no other: it is one of the host's that the app has itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) own_port: bool,
    /// Where its shim listens.
    pub(crate) socket: PathBuf,
    /// Program and arguments as they were written.
    pub(crate) argv: Vec<String>,
    /// The directory it runs in.
    pub(crate) cwd: PathBuf,
    /// The user it runs as; the daemon's own when absent.
    pub(crate) user: Option<String>,
    /// The `PATH` of the release.
    pub(crate) path: Option<String>,
    /// The environment of the release.
    pub(crate) env: BTreeMap<String, String>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub(crate) limits: Limits,
    /// Whether it says itself that it is ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) wait_ready: bool,
}

impl UnitRecord {
    /// The record of a unit that runs `command`.
    pub(crate) fn new(
        id: UnitId,
        daemon: DaemonId,
        port: NonZeroU16,
        socket: PathBuf,
        spec: &AppSpec,
        command: &CommandSpec,
    ) -> Self {
        let CommandSpec { argv, cwd, user, path } = command.clone();
        let limits = Limits::from(&spec.resources);
        let own_port = own_port(spec).is_some();
        let (env, wait_ready) = (spec.env.clone(), spec.readiness.message);
        Self { id, daemon, port, own_port, socket, argv, cwd, user, path, env, limits, wait_ready }
    }

    /// Variables by which processes of the unit are found when nothing else knows them any more.
    pub(crate) fn marks(&self) -> [(&'static str, String); 2] {
        [("NEXTDEPLOY_UNIT", self.id.to_string()), ("NEXTDEPLOY_DAEMON", self.daemon.to_string())]
    }
}

/// The first port of the host that the app has itself.
pub(crate) fn own_port(spec: &AppSpec) -> Option<NonZeroU16> {
    spec.own_ports().next().and_then(|bind| NonZeroU16::new(bind.port()))
}
