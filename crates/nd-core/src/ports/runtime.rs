//! Where units run.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use nd_types::{AppName, DaemonId, ExitStatus, ReleaseId, RuntimeKind, Timestamp, UnitId};
use tokio::sync::mpsc;

use super::error::PortResult;
use super::unit_io::UnitIo;
use crate::spec::AppSpec;

/// Runs units: containers of an engine, plain processes.
///
/// Every method may be repeated: a unit that exists is not created twice, one that runs is not started twice, one that
/// is gone is removed without complaint. A runtime whose engine is absent answers `Unavailable` and connects by itself
/// when the engine comes.
#[async_trait]
pub trait Runtime: UnitIo {
    /// What this runtime is and can do. Constant for the life of the value.
    fn caps(&self) -> RuntimeCaps;

    /// Makes sure that units of `spec` can be created: the image is there or gets pulled, the program can be found.
    ///
    /// # Errors
    /// `NotFound` when image or command do not exist, `Denied` when the registry wants a login, `Invalid` when the spec
    /// can never run here.
    async fn prepare(
        &self,
        spec: &AppSpec,
        auth: Option<&RegistryAuth>,
        progress: &Progress,
    ) -> PortResult<Prepared>;

    /// Creates the unit, not started. Answers the existing one when it was created before.
    async fn create(&self, unit: &UnitSpec) -> PortResult<UnitObserved>;

    /// Starts a created or ended unit and answers what it looks like then; a running one is left alone.
    async fn start(&self, unit: &UnitId) -> PortResult<UnitObserved>;

    /// Sends a signal to the unit's main process; `Kill` reaches everything it started. A unit that does not run is left
    /// alone.
    async fn signal(&self, unit: &UnitId, signal: Signal) -> PortResult<()>;

    /// Waits until the unit does not run, and answers how it ended. Returns at once when it does not run. Never gives up
    /// by itself: the caller sets the deadline and may drop the future at any time.
    async fn wait(&self, unit: &UnitId) -> PortResult<ExitStatus>;

    /// Removes the unit with all it holds, volumes apart; one that runs is killed first.
    async fn remove(&self, unit: &UnitId) -> PortResult<()>;

    /// Everything in `scope` as it is now.
    async fn observe(&self, scope: &Scope) -> PortResult<Vec<UnitObserved>>;
}

/// What a runtime is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeCaps {
    /// Its name in `runtime:`.
    pub kind: RuntimeKind,
    /// Whether each unit has a network address of its own, so that two versions may listen on the same port.
    pub own_address: bool,
    /// Whether its units write something that can be read and kept.
    pub has_output: bool,
}

/// One unit to be created.
#[derive(Clone, Debug)]
pub struct UnitSpec {
    /// Its id; also its container name and its label.
    pub id: UnitId,
    /// The daemon it belongs to.
    pub daemon: DaemonId,
    /// The release it runs.
    pub spec: Arc<AppSpec>,
    /// What `prepare` found out.
    pub prepared: Prepared,
}

/// What `prepare` found out, to be used for every unit of the release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The image id that the reference resolved to, so that every unit and every rollback runs the same bytes.
    pub image_id: Option<String>,
    /// Ports the image declares (`EXPOSE`), lowest first.
    pub exposed: Vec<NonZeroU16>,
    /// Whether the image declares a `HEALTHCHECK`.
    pub healthcheck: bool,
    /// Things the user should know (`image is for arm64, this host is amd64`).
    pub notes: Vec<String>,
}

/// A login for the registry an image comes from. Kept in memory only.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl std::fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryAuth").field("username", &self.username).field("password", &"…").finish()
    }
}

/// Where a long step says how far it is. Sending never waits; what nobody reads is dropped.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<mpsc::Sender<String>>);

impl Progress {
    /// Reports to `sender`.
    #[must_use]
    pub fn to(sender: mpsc::Sender<String>) -> Self {
        Self(Some(sender))
    }

    /// Says how far it is, as in `3 of 7 layers, 18.2 of 212 MB`.
    pub fn say(&self, message: impl Into<String>) {
        if let Some(sender) = &self.0 {
            // A full queue means nobody keeps up with the progress; the step itself must not wait for that.
            sender.try_send(message.into()).ok();
        }
    }
}

/// Which units to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Units of this daemon, and units that no daemon claims.
    All(DaemonId),
    /// This daemon's units of one app.
    App(DaemonId, AppName),
    /// One unit of this daemon.
    Unit(DaemonId, UnitId),
}

/// A signal for a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The unit's own stop signal (the image's `STOPSIGNAL`, else SIGTERM), or the given number.
    Stop(Option<i32>),
    /// SIGKILL, to everything the unit started.
    Kill,
}

/// One unit as the runtime sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitObserved {
    /// Its id, when its labels hold one.
    pub id: Option<UnitId>,
    /// Its name in the runtime (the container's name).
    pub name: String,
    /// The daemon that claims it.
    pub daemon: Option<DaemonId>,
    /// The app its labels name.
    pub app: Option<String>,
    /// The release its labels name.
    pub release: Option<ReleaseId>,
    /// What it does.
    pub status: UnitStatus,
    /// The address it is reached at, while it runs.
    pub ip: Option<IpAddr>,
    /// The port that was leased for it (plain processes), or that it is published on.
    pub port: Option<NonZeroU16>,
    /// Ports it declares, lowest first.
    pub exposed: Vec<NonZeroU16>,
    /// Main process on the host, while it runs.
    pub pid: Option<u32>,
    /// What the unit runs, for people: an image reference or a command line.
    pub runs: String,
    /// What it would take to create it again, for a unit that carries our label but no daemon's id: such a unit gets
    /// adopted, and its id is made of its name.
    pub adoptable: Option<Box<AppSpec>>,
}

/// What a unit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitStatus {
    /// Created, never started.
    Created,
    /// Running.
    Running {
        /// Since when.
        since: Timestamp,
        /// What the engine's own health check says; `None` when there is none.
        healthy: Option<bool>,
    },
    /// Ended.
    Exited {
        /// How.
        exit: ExitStatus,
        /// When it had started.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Option<Timestamp>,
    },
}

impl UnitStatus {
    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}
