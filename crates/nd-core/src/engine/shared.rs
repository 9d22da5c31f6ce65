//! What every part of an engine shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::{Clock, TaskFailure, TaskSet};
use nd_types::{AppName, DaemonId, DeploymentId, IngressKind, ReleaseId, UnitId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

use super::bus::EventBus;
use super::claims::Claims;
use super::error::EngineError;
use super::reconciler::{self, Desk};
use crate::certs::CertDesk;
use crate::model::edit::Edit;
use crate::model::{ActionEnd, AppModel, AppStatus, Now};
use crate::ports::{HintKind, LogCollector, RegistryAuth, Runtime, StateStore, within};
use crate::records::DeploymentRecord;
use crate::registry::Registry;
use crate::routebook::Books;

pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) collector: Option<Arc<dyn LogCollector>>,
    pub(crate) daemon: DaemonId,
    pub(crate) bus: EventBus,
    pub(crate) books: Books,
    pub(crate) certs: CertDesk,
    pub(crate) tasks: TaskSet,
    pub(crate) stop: CancellationToken,
    pub(crate) claims: Claims,
    pub(crate) apps: RwLock<BTreeMap<AppName, AppEntry>>,
    pub(crate) tombstones: Mutex<std::collections::BTreeSet<AppName>>,
    pub(crate) deployments: RwLock<BTreeMap<DeploymentId, DeploymentRecord>>,
    /// Logins for images of deployments under way; memory only.
    pub(crate) logins: Mutex<BTreeMap<ReleaseId, RegistryAuth>>,
    /// Reconcilers of stored apps, which begin when the engine runs. Until then wishes wait in their mailboxes.
    pub(crate) resting: Mutex<Vec<(AppModel, Desk)>>,
    pub(crate) fail_point: Option<super::FailPoint>,
}

/// The way to one app's reconciler.
#[derive(Clone)]
pub(crate) struct AppEntry {
    pub(crate) mailbox: mpsc::Sender<Message>,
    pub(crate) status: watch::Receiver<Arc<AppStatus>>,
}

/// What wakes a reconciler.
pub(crate) enum Message {
    /// A user wants something.
    Edit { edit: Box<Edit>, actor: String, reply: oneshot::Sender<Result<u64, EngineError>> },
    /// An action ended.
    Ended(Box<ActionEnd>),
    /// Something may have happened: look.
    Look,
    /// Something happened to a unit.
    Hint(UnitId, HintKind),
    /// The daemon ends and takes its apps with it.
    Suspend,
}

/// How long a runtime may take to begin telling what happens.
const LISTEN: Duration = Duration::from_secs(15);

/// How long the route book rests after a panic.
const AFTER_PANIC: Duration = Duration::from_millis(100);

/// Messages that may wait for one reconciler.
const MAILBOX: usize = 256;

impl Shared {
    pub(crate) fn now(&self) -> Now {
        Now { mono: self.clock.mono(), wall: self.clock.wall(), jitter: nd_supervise::jitter() }
    }

    /// Begins to reconcile the stored apps.
    pub(crate) fn start_resting(self: &Arc<Self>) {
        for (model, desk) in std::mem::take(&mut *self.resting.lock()) {
            self.tasks.spawn("reconciler", reconciler::run(Arc::clone(self), model, desk));
        }
    }

    /// Begins to reconcile an app, unless somebody already does.
    pub(crate) fn start_app(self: &Arc<Self>, model: AppModel) -> AppEntry {
        let mut apps = self.apps.write();
        if let Some(entry) = apps.get(model.app()) {
            return entry.clone();
        }
        let (entry, desk) = open(&model);
        apps.insert(model.app().clone(), entry.clone());
        drop(apps);
        self.tasks.spawn("reconciler", reconciler::run(Arc::clone(self), model, desk));
        entry
    }

    pub(crate) fn entry(&self, app: &AppName) -> Option<AppEntry> {
        self.apps.read().get(app).cloned()
    }

    /// Listens to every runtime and wakes whom it concerns.
    pub(crate) fn watch_runtimes(self: &Arc<Self>, shutdown: &CancellationToken) {
        for (_, runtime) in self.registry.runtimes() {
            let (shared, runtime, until) = (Arc::clone(self), Arc::clone(runtime), shutdown.clone());
            self.tasks.spawn("hints", async move {
                tokio::select! {
                    () = shared.forward_hints(&*runtime) => {}
                    () = until.cancelled() => {}
                }
            });
        }
    }

    async fn forward_hints(&self, runtime: &dyn Runtime) {
        let mut pause = Duration::from_millis(100);
        loop {
            if let Ok(mut hints) = within("listen to a runtime", LISTEN, runtime.hints()).await {
                pause = Duration::from_millis(100);
                // What happened before this moment was heard by nobody: an engine may have come up only now.
                self.wake_all();
                while let Some(hint) = hints.next().await {
                    match hint.unit {
                        Some(unit) if hint.kind != HintKind::Resync => self.pass_on(unit, hint.kind),
                        _ => self.wake_all(),
                    }
                }
                self.wake_all();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    fn pass_on(&self, unit: UnitId, kind: HintKind) {
        if let Some(entry) = self.entry(unit.app()) {
            // A full mailbox means that the reconciler is about to run anyway, and the sweep catches the rest.
            entry.mailbox.try_send(Message::Hint(unit, kind)).ok();
        }
    }

    pub(crate) fn wake_all(&self) {
        for entry in self.apps.read().values() {
            entry.mailbox.try_send(Message::Look).ok();
        }
    }
}

/// The two ends of an app's mailbox and status.
pub(crate) fn open(model: &AppModel) -> (AppEntry, Desk) {
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let (publish, status) = watch::channel(Arc::new(model.status()));
    let entry = AppEntry { mailbox: mailbox.clone(), status };
    (entry, Desk { mailbox, messages: Arc::new(tokio::sync::Mutex::new(messages)), publish })
}

/// Serves the book of one ingress until `shutdown`, also after a panic of the ingress.
pub(crate) async fn serve_routes(shared: Arc<Shared>, kind: IngressKind, shutdown: CancellationToken) {
    loop {
        let (worker, until) = (Arc::clone(&shared), shutdown.clone());
        let serve = async move {
            if let Some(book) = worker.books.of(kind) {
                book.run(&until).await;
            }
        };
        let ended = shared.tasks.spawn_with("route-book", serve).await;
        let Err(TaskFailure::Panicked(why)) = ended else { return };
        tracing::error!(why, %kind, "the route book panicked; going on with what is in it");
        tokio::time::sleep(AFTER_PANIC).await;
    }
}
