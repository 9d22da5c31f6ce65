//! The serial decision loop of one app. It never waits for a long step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::{Mono, TaskFailure};
use nd_types::UnitId;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::actions;
use super::boot;
use super::error::EngineError;
use super::order;
use super::shared::{Message, Shared};
use crate::events::Event;
use crate::model::edit::{Edit, EditError, Edited};
use crate::model::{Action, ActionEnd, AppModel, AppStatus, Decision, Fact, UnitAction};
use crate::ports::{HistoryQuery, PortError, PortErrorKind, PortResult, UnitStatus};
use crate::records::{Record, RunIntent};
use crate::spec::AppSpec;

/// How often everything is looked at, whatever was hinted; plus up to a tenth by chance.
const SWEEP: Duration = Duration::from_secs(30);

/// How long storing a wish may take before it counts as refused.
const STORE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a restart waits until the exit before it is stored. More would be felt.
const EXIT_STORED_WITHIN: Duration = Duration::from_millis(100);

/// How many events are looked through for exits that a killed daemon has counted.
const EVENTS_RECALLED: usize = 500;

/// How long a reconciler that panicked rests before it goes on from what is stored.
const AFTER_PANIC: Duration = Duration::from_millis(500);

/// The two ends of an app's mailbox, and where its status is shown; they outlive a reconciler that panics.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) mailbox: mpsc::Sender<Message>,
    pub(crate) messages: Arc<Mutex<mpsc::Receiver<Message>>>,
    pub(crate) publish: watch::Sender<Arc<AppStatus>>,
}

/// Reconciles one app until it is gone or the engine ends. After a panic it goes on from what is stored.
pub(crate) async fn run(shared: Arc<Shared>, mut model: AppModel, desk: Desk) {
    loop {
        let app = model.app().clone();
        let reconciler = Reconciler {
            sweep_at: shared.clock.mono() + jittered(SWEEP),
            shared: Arc::clone(&shared),
            model,
            desk: desk.clone(),
            unstored: Vec::new(),
            actor: String::new(),
            waits: BTreeMap::new(),
        };
        match shared.tasks.spawn_with("reconcile", reconciler.run()).await {
            Err(TaskFailure::Panicked(why)) => {
                tracing::error!(%app, why, "reconciler panicked; going on from the store");
            }
            Ok(()) | Err(TaskFailure::Cancelled) => return,
        }
        model = loop {
            tokio::time::sleep(AFTER_PANIC).await;
            match boot::reload(&shared, &app).await {
                Ok(Some(stored)) => break stored,
                Ok(None) => return,
                Err(error) => tracing::error!(%app, %error, "the stored state cannot be read; trying again"),
            }
        };
    }
}

struct Reconciler {
    shared: Arc<Shared>,
    model: AppModel,
    desk: Desk,
    /// Decided, but not stored yet because the store refused; at most one record of each thing.
    unstored: Vec<Record>,
    sweep_at: Mono,
    /// Who asked for something last.
    actor: String,
    /// Ends the wait for a unit that nobody waits for any more.
    waits: BTreeMap<UnitId, CancellationToken>,
}

impl Reconciler {
    async fn run(mut self) {
        let messages = Arc::clone(&self.desk.messages);
        let mut messages = messages.lock().await;
        loop {
            let wake_at = if self.is_unborn() { self.sweep_at } else { self.activate().await };
            if self.model.is_gone() && self.unstored.is_empty() {
                return self.bury();
            }
            let pause = wake_at.min(self.sweep_at).saturating_since(self.shared.clock.mono());
            let message = tokio::select! {
                message = messages.recv() => message,
                () = tokio::time::sleep(pause) => None,
                () = self.shared.stop.cancelled() => return,
            };
            if let Some(message) = message {
                self.take(message).await;
                while let Ok(message) = messages.try_recv() {
                    self.take(message).await;
                }
            }
            let now = self.shared.clock.mono();
            if now >= self.sweep_at {
                self.sweep_at = now + jittered(SWEEP);
                self.model.sweep();
            }
            if self.is_unborn() && !self.is_known() {
                return;
            }
        }
    }

    /// Whether the app's first deployment has not been accepted yet: then there is nothing to decide, and what runs under
    /// its name is not its.
    fn is_unborn(&self) -> bool {
        let record = self.model.record();
        record.revision == 0 && record.active.is_none()
    }

    /// Whether wishes for the app come here, and not to another reconciler or to none.
    fn is_known(&self) -> bool {
        let entry = self.shared.entry(self.model.app());
        entry.is_some_and(|entry| entry.mailbox.same_channel(&self.desk.mailbox))
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Look => self.model.look_again(),
            Message::Hint(unit, kind) => self.model.hinted(&unit, kind),
            Message::Suspend => self.model.suspend(),
            Message::Ended(end) => {
                if self.model.is_new() {
                    self.recall_exits(&end).await;
                }
                let looked = matches!(*end, ActionEnd::Observed { .. });
                self.model.absorb(*end, self.shared.now());
                if looked {
                    self.follow_output();
                }
            }
            Message::Edit { edit, actor, reply } => {
                let result = self.edit(*edit, actor).await;
                // Whoever asked may have gone away; the wish counts all the same.
                reply.send(result).ok();
            }
        }
    }

    /// A unit that is found ended may have been seen to end by a daemon that was killed right then.
    async fn recall_exits(&mut self, end: &ActionEnd) {
        let ActionEnd::Observed { result: Ok(seen), .. } = end else { return };
        if !seen.iter().any(|unit| matches!(unit.status, UnitStatus::Exited { .. })) {
            return;
        }
        let query = HistoryQuery {
            app: Some(self.model.app().clone()),
            limit: EVENTS_RECALLED,
            ..HistoryQuery::default()
        };
        match tokio::time::timeout(STORE_DEADLINE, self.shared.store.events(&query)).await {
            Ok(Ok(events)) => {
                for event in events.into_iter().filter(|e| matches!(e.what, Event::UnitExited { .. })) {
                    if let Some(unit) = event.unit {
                        self.model.counted_until(unit, event.at);
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "read what ended before; an exit may be counted twice"),
            Err(_) => tracing::warn!("read what ended before: no answer; an exit may be counted twice"),
        }
    }

    /// Checks, stores and then accepts a wish.
    async fn edit(&mut self, edit: Edit, actor: String) -> Result<u64, EngineError> {
        let claims = matches!(edit, Edit::Deploy(_) | Edit::Domains(_));
        let edited = self.model.edit(edit, self.shared.now()).map_err(|error| self.explain(error))?;
        if claims && let Err(error) = self.claim(&edited) {
            self.keep_claims();
            return Err(error);
        }
        let records = edited.records();
        if let Err(error) = self.append(&records).await {
            self.keep_claims();
            return Err(EngineError::Store(error));
        }
        self.remember(&records);
        let revision = edited.revision();
        self.model.accept(edited);
        self.keep_claims();
        self.actor = actor;
        if self.model.record().run == RunIntent::Removed {
            self.shared.tombstones.lock().insert(self.model.app().clone());
        } else {
            self.shared.tombstones.lock().remove(self.model.app());
        }
        self.desk.publish.send_replace(Arc::new(self.model.status()));
        Ok(revision)
    }

    fn explain(&self, error: EditError) -> EngineError {
        match (&error, self.model.deployment()) {
            (EditError::Busy(id), Some(deployment)) if deployment.id == *id => EngineError::Busy {
                deployment: id.clone(),
                since: deployment.created_at,
                actor: deployment.actor.clone(),
            },
            _ => EngineError::Edit(error),
        }
    }

    /// Decides, stores, publishes and starts; answers when to decide again.
    async fn activate(&mut self) -> Mono {
        let strategies = self.shared.registry.strategies().clone();
        let awaited = order::awaited(&self.shared, self.model.dependencies());
        self.model.await_app(awaited, self.shared.now());
        let Decision { actions, records, facts, wake_at } = self.model.decide(self.shared.now(), &strategies);
        let (exits, facts): (Vec<Fact>, Vec<Fact>) =
            facts.into_iter().partition(|fact| matches!(fact.what, Event::UnitExited { .. }));
        if !exits.is_empty() {
            // Before the restart wipes out every trace of them.
            exits.into_iter().for_each(|exit| self.publish_fact(exit));
            let flushed = self.shared.bus.flush(&*self.shared.store);
            if tokio::time::timeout(EXIT_STORED_WITHIN, flushed).await.is_err() {
                tracing::warn!(app = %self.model.app(), "an exit could not be stored in time; going on");
            }
        }
        for action in actions {
            self.start(action);
        }
        self.waits.retain(|unit, wait| {
            let awaited = self.model.awaits(unit);
            if !awaited {
                wait.cancel();
            }
            awaited
        });
        self.store(records).await;
        self.desk.publish.send_if_modified(|shown| {
            let status = self.model.status();
            let changed = **shown != status;
            if changed {
                *shown = Arc::new(status);
            }
            changed
        });
        for fact in facts {
            self.publish_fact(fact);
        }
        wake_at.unwrap_or(self.sweep_at)
    }

    /// Stores what was decided. What cannot be stored waits: it would be decided again from what is observed.
    async fn store(&mut self, records: Vec<Record>) {
        self.remember(&records);
        if records.iter().any(|record| matches!(record, Record::App(_))) {
            self.keep_claims();
        }
        for record in records {
            self.unstored.retain(|waiting| !record.replaces(waiting));
            self.unstored.push(record);
        }
        if self.unstored.is_empty() {
            return;
        }
        if let Err(error) = self.append(&[]).await {
            tracing::error!(app = %self.model.app(), %error, "could not store a decision; trying again");
        }
    }

    /// Stores what waits, and `more` after it, so that nothing older ever replaces something newer.
    async fn append(&mut self, more: &[Record]) -> PortResult<()> {
        let batch = [self.unstored.as_slice(), more].concat();
        match tokio::time::timeout(STORE_DEADLINE, self.shared.store.append(batch)).await {
            Ok(Ok(_)) => {
                self.unstored.clear();
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(PortError::new(PortErrorKind::Timeout, "the store did not answer in time")),
        }
    }

    fn remember(&self, records: &[Record]) {
        for record in records {
            if let Record::Deployment(deployment) = record {
                self.shared.deployments.write().insert(deployment.id.clone(), deployment.as_ref().clone());
            }
        }
    }

    /// Claims the hosts and ports of what is to serve after a wish: of the release that it is about, else of the one that
    /// serves.
    fn claim(&self, edited: &Edited) -> Result<(), EngineError> {
        let record = edited.record();
        let wanted = record.rollout.as_ref().map(|rollout| &rollout.release).or(record.active.as_ref());
        let Some(id) = wanted else { return Ok(()) };
        let new = edited.release().filter(|new| new.id == *id).map(|new| Arc::new(AppSpec::from(&new.spec)));
        let known = || self.model.release(id).map(|known| Arc::clone(&known.spec));
        let Some(spec) = new.or_else(known) else { return Ok(()) };
        self.shared.claims.take(self.model.app(), &record.domains.applied(id, &spec))
    }

    /// Leaves the app with the hosts and ports of the release that serves and of the one that is to.
    fn keep_claims(&self) {
        let record = self.model.record();
        let wanted = [record.active.as_ref(), record.rollout.as_ref().map(|rollout| &rollout.release)];
        let releases =
            wanted.into_iter().flatten().filter_map(|id| Some((id, self.model.release(id)?.spec.as_ref())));
        let specs: Vec<_> = releases.map(|(id, spec)| record.domains.applied(id, spec)).collect();
        self.shared.claims.keep(self.model.app(), specs.iter().map(AsRef::as_ref));
    }

    fn publish_fact(&self, fact: Fact) {
        let by_user = matches!(fact.what, Event::DeployStarted { .. } | Event::AppChanged { .. });
        let actor = by_user.then(|| self.actor.clone()).filter(|actor| !actor.is_empty());
        let ended = matches!(fact.what, Event::DeploySucceeded { .. } | Event::DeployFailed { .. });
        if matches!(fact.what, Event::UnitStarted { .. }) {
            self.follow_output();
        }
        if ended && let Some(deployment) = self.model.deployment() {
            self.shared.logins.lock().remove(&deployment.release);
        }
        self.shared.bus.publish(Some(self.model.app()), fact, actor, self.shared.clock.wall());
    }

    /// Keeps the output of every unit that runs, also of those that ran before this daemon did.
    fn follow_output(&self) {
        let Some(collector) = &self.shared.collector else { return };
        for (id, _) in self.model.units().iter().filter(|(_, unit)| unit.state.is_running()) {
            if let Some(release) = self.model.release(id.release()) {
                collector.follow(id, release.spec.runtime());
            }
        }
    }

    fn start(&mut self, action: Action) {
        let wait = CancellationToken::new();
        if let Action::Unit(unit, UnitAction::WaitReady { .. }) = &action {
            self.waits.insert(unit.clone(), wait.clone());
        }
        let context = actions::Context::of(&self.model, &action, &self.shared, wait);
        let (shared, mailbox) = (Arc::clone(&self.shared), self.desk.mailbox.clone());
        let doomed = actions::interrupted(&action, self.model.app());
        let only_waits = actions::only_waits(&action);
        self.shared.tasks.spawn("action", async move {
            let tasks = shared.tasks.clone();
            // In a task of its own, so that a panic becomes a failed action and not a lost one.
            let mut performed =
                tasks.spawn_with("action", actions::perform(Arc::clone(&shared), context, action));
            let ended = tokio::select! {
                ended = &mut performed => ended,
                () = shared.stop.cancelled(), if only_waits => return performed.abort(),
            };
            let end = ended.unwrap_or_else(|failure| doomed(failure.to_string()));
            mailbox.send(Message::Ended(Box::new(end))).await.ok();
        });
    }

    /// The app is gone: only its tombstone stays.
    fn bury(&self) {
        let app = self.model.app();
        self.shared.claims.keep(app, std::iter::empty());
        self.shared.apps.write().remove(app);
        self.desk.publish.send_replace(Arc::new(self.model.status()));
    }
}

fn jittered(period: Duration) -> Duration {
    period + period.mul_f64(nd_supervise::jitter() / 10.0)
}

/// Sends a wish to a reconciler and waits for its answer.
pub(crate) async fn ask(
    mailbox: &mpsc::Sender<Message>,
    edit: Edit,
    actor: &str,
) -> Result<u64, EngineError> {
    let (reply, answer) = oneshot::channel();
    let message = Message::Edit { edit: Box::new(edit), actor: actor.to_owned(), reply };
    mailbox.send(message).await.map_err(|_| EngineError::ShuttingDown)?;
    answer.await.map_err(|_| EngineError::ShuttingDown)?
}

/// Whether the event is the last one of a deployment.
pub(crate) fn ends_deployment(event: &Event) -> bool {
    matches!(event, Event::DeploySucceeded { .. } | Event::DeployFailed { .. })
}
