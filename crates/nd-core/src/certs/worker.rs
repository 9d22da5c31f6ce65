//! The worker: looks what is wanted, kept and due, starts orders, and serves what comes of them.

mod commands;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::{TaskFailure, jitter};
use nd_types::{AppName, HostPattern, Timestamp, TlsState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::desk::Reply;
use super::due::{self, Step, Why, covers};
use super::wish::CertWish;
use super::{alarm, order};
use crate::engine::Shared;
use crate::events::Event;
use crate::model::Fact;
use crate::ports::{CertStore, IssuedCert, KeptCert, PortError, PortErrorKind, PortResult, Renewal, within};
use crate::records::{CertOrderEnd, CertOrderRecord, CertRecord, Record};

/// Orders under way at once.
const ORDERS: usize = 4;
/// The longest sleep: the clock may be set.
const TICK: Duration = Duration::from_secs(600);
/// The pause before something that the proxy did not take is offered again, or a port that is taken is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// The same for what the store did not give.
const RELOAD: Duration = Duration::from_secs(5);
/// When to ask an issuer again that could not say when a certificate is to be renewed.
const ASK_AGAIN: Duration = Duration::from_secs(3600);
const STORE_DEADLINE: Duration = Duration::from_secs(15);

/// Keeps certificates in order until `shutdown`, also after a panic of an adapter.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    loop {
        let (worker, until) = (Worker::new(&shared), shutdown.clone());
        let serve = async move {
            until.run_until_cancelled(worker.run()).await;
        };
        let ended = shared.tasks.spawn_with("certificates", serve).await;
        let Err(TaskFailure::Panicked(why)) = ended else { return };
        tracing::error!(why, "the worker for certificates panicked; going on with what is kept");
        tokio::time::sleep(RELOAD).await;
    }
}

struct Worker {
    shared: Arc<Shared>,
    store: Option<Arc<dyn CertStore>>,
    /// By first name.
    kept: BTreeMap<HostPattern, KeptCert>,
    renewals: BTreeMap<HostPattern, Renewal>,
    records: BTreeMap<HostPattern, CertRecord>,
    wishes: BTreeMap<HostPattern, (AppName, CertWish)>,
    /// What is asked of an issuer now, and who waits for the answer.
    busy: BTreeMap<HostPattern, Busy>,
    ends: (mpsc::UnboundedSender<End>, mpsc::UnboundedReceiver<End>),
    /// When the proxy is to be told again.
    tell_at: Option<tokio::time::Instant>,
    /// Ports that could not be opened, as it was said last.
    faults: Vec<String>,
}

#[derive(Default)]
struct Busy {
    is_order: bool,
    waiting: Vec<Reply>,
}

/// What an issuer has answered.
enum End {
    Order(Box<CertWish>, Why, PortResult<KeptCert>),
    Renewal(HostPattern, PortResult<Renewal>),
}

impl Worker {
    fn new(shared: &Arc<Shared>) -> Self {
        let records = shared.certs.records.lock().clone();
        Self {
            records: records.into_iter().map(|record| (record.name.clone(), record)).collect(),
            store: shared.registry.certs().cloned(),
            shared: Arc::clone(shared),
            kept: BTreeMap::new(),
            renewals: BTreeMap::new(),
            wishes: BTreeMap::new(),
            busy: BTreeMap::new(),
            ends: mpsc::unbounded_channel(),
            tell_at: None,
            faults: Vec::new(),
        }
    }

    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut commands = shared.certs.waiting.lock().await;
        let mut routes = shared.books.watch();
        self.load().await;
        self.serve().await;
        loop {
            let wake_at = self.activate().await;
            self.tell();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                Some(end) = self.ends.1.recv() => self.absorb(end).await,
                changed = routes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    /// Reads what is kept, as soon as the store gives it.
    async fn load(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let kept = loop {
            match within("read the certificates", order::CALL, store.load()).await {
                Ok(kept) => break kept,
                Err(error) => tracing::error!(%error, "the certificates cannot be read; trying again"),
            }
            tokio::time::sleep(RELOAD).await;
        };
        for fault in kept.faults {
            self.say(None, Event::Trouble { message: format!("{}: {}", fault.place, fault.error) });
        }
        let named = |kept: KeptCert| Some((kept.cert.certificate.names.first()?.clone(), kept));
        self.kept = kept.certs.into_iter().filter_map(named).collect();
    }

    /// Has the proxy serve what is kept; what it cannot do is tried again.
    async fn serve(&mut self) {
        let settings = &self.shared.certs.settings;
        let mut all: Vec<&KeptCert> = self.kept.values().collect();
        // Of two for one name: what somebody brought, then what lives longer.
        all.sort_by_key(|kept| (kept.issuer.is_some(), std::cmp::Reverse(kept.cert.not_after)));
        let certificates: Vec<_> = all.into_iter().map(|kept| Arc::clone(&kept.cert.certificate)).collect();
        let change = |tls: &mut TlsState| {
            tls.listen.clone_from(&settings.listen);
            tls.fallback.clone_from(&settings.fallback);
            tls.certificates.clone_from(&certificates);
        };
        let (mut faults, mut is_served) = (Vec::new(), true);
        for (kind, book) in self.shared.books.iter() {
            match book.edit_tls(change).await {
                Ok(applied) => faults.extend(applied.faults.into_iter().map(|fault| fault.error)),
                Err(error) => {
                    tracing::warn!(%kind, %error, "the certificates were not taken; trying again");
                    is_served = false;
                }
            }
        }
        if !is_served {
            faults.clone_from(&self.faults);
        }
        self.tell_at = (!is_served || !faults.is_empty()).then(|| tokio::time::Instant::now() + AGAIN);
        if faults != self.faults {
            for fault in &faults {
                self.say(None, Event::Trouble { message: format!("TLS is not served: {fault}") });
            }
            self.faults = faults;
        }
    }

    /// Starts what is due; when to look again.
    async fn activate(&mut self) -> tokio::time::Instant {
        if self.tell_at.is_some_and(|at| at <= tokio::time::Instant::now()) {
            self.serve().await;
        }
        let now = self.shared.clock.wall();
        let issuer = self.shared.certs.settings.issuer.as_ref();
        let wishes = self.shared.books.wishes(issuer);
        let files = |(_, wish): &(AppName, CertWish)| wish.files.clone();
        // What was said of other files counts no more.
        self.renewals.retain(|name, _| self.wishes.get(name).map(files) == wishes.get(name).map(files));
        self.wishes = wishes;
        let mut next = now.checked_add(TICK).unwrap_or(Timestamp::MAX);
        for (name, (_, wish)) in self.wishes.clone() {
            if self.store.is_none() || self.busy.contains_key(&name) || self.is_brought(&wish, now) {
                continue;
            }
            let (kept, record) = (self.kept.get(&name), self.records.get(&name));
            match due::step(&wish, kept, self.renewals.get(&name), record, now) {
                Step::Order(why) if self.busy.values().filter(|busy| busy.is_order).count() < ORDERS => {
                    self.order(wish, why, None);
                }
                Step::AskRenewal => self.ask_renewal(name, wish),
                Step::Wait(until) => next = next.min(until),
                Step::Order(_) | Step::Rest => {}
            }
        }
        self.warn(now).await;
        let pause = Duration::try_from(next.duration_since(now)).unwrap_or_default();
        let wake_at = tokio::time::Instant::now() + pause;
        self.tell_at.map_or(wake_at, |at| at.min(wake_at))
    }

    /// Whether somebody brought a certificate for all of it.
    fn is_brought(&self, wish: &CertWish, now: Timestamp) -> bool {
        let counts = |kept: &&KeptCert| kept.issuer.is_none() && kept.cert.not_after > now;
        self.kept.values().filter(counts).any(|kept| covers(&kept.cert, &wish.names))
    }

    fn order(&mut self, wish: CertWish, why: Why, waits: Option<Reply>) {
        let (Some(store), Some(name)) = (self.store.clone(), wish.names.first().cloned()) else { return };
        let before = self.kept.get(&name).map(|kept| kept.cert.clone());
        self.busy.insert(name, Busy { is_order: true, waiting: waits.into_iter().collect() });
        let (shared, ends) = (Arc::clone(&self.shared), self.ends.0.clone());
        let placed = shared.tasks.spawn_with(
            "order a certificate",
            order::place(Arc::clone(&shared), store, wish.clone(), before, why),
        );
        shared.tasks.spawn("await a certificate", async move {
            let result = placed.await.unwrap_or_else(|failure| {
                let context = format!("order a certificate: the issuer failed: {failure}");
                Err(PortError::new(PortErrorKind::Internal, context))
            });
            ends.send(End::Order(Box::new(wish), why, result)).ok(); // the daemon ends
        });
    }

    fn ask_renewal(&mut self, name: HostPattern, wish: CertWish) {
        let Some(cert) = self.kept.get(&name).map(|kept| kept.cert.clone()) else { return };
        self.busy.insert(name.clone(), Busy::default());
        let (shared, ends) = (Arc::clone(&self.shared), self.ends.0.clone());
        let asked =
            shared.tasks.spawn_with("ask for a renewal", order::renewal(Arc::clone(&shared), wish, cert));
        shared.tasks.spawn("await a renewal", async move {
            let result = asked.await.unwrap_or_else(|failure| {
                Err(PortError::new(PortErrorKind::Internal, format!("ask for a renewal: {failure}")))
            });
            ends.send(End::Renewal(name, result)).ok(); // the daemon ends
        });
    }

    async fn absorb(&mut self, end: End) {
        match end {
            End::Order(wish, why, result) => self.ordered(*wish, why, result).await,
            End::Renewal(name, result) => {
                let waiting = self.busy.remove(&name).map(|busy| busy.waiting).unwrap_or_default();
                let now = self.shared.clock.wall();
                let renewal = result.unwrap_or_else(|error| {
                    tracing::warn!(%name, %error, "an issuer does not say when to renew a certificate");
                    self.without_advice(&name, now)
                });
                self.renewals.insert(name.clone(), renewal);
                for reply in waiting {
                    self.renew(&name, reply);
                }
            }
        }
    }

    /// Two thirds of its life, asked about again soon.
    fn without_advice(&self, name: &HostPattern, now: Timestamp) -> Renewal {
        let due = self.kept.get(name).map_or(Timestamp::MAX, |kept| {
            let IssuedCert { not_before, not_after, .. } = &kept.cert;
            let life = not_after.duration_since(*not_before);
            not_after.checked_sub(life / 3).unwrap_or(*not_after)
        });
        let ask_again = now.checked_add(ASK_AGAIN).unwrap_or(Timestamp::MAX);
        Renewal { due, ask_again, why: "a third of its life is left".to_owned() }
    }

    async fn ordered(&mut self, wish: CertWish, why: Why, result: PortResult<KeptCert>) {
        let Some(name) = wish.names.first().cloned() else { return };
        let waiting = self.busy.remove(&name).map(|busy| busy.waiting).unwrap_or_default();
        let now = self.shared.clock.wall();
        let mut record = self.records.remove(&name).unwrap_or_else(|| CertRecord::new(name.clone()));
        record.wish = wish.digest();
        let app = self.wishes.get(&name).map(|(app, _)| app.clone());
        let (end, event) = match &result {
            Ok(kept) => {
                (record.failures, record.retry_at, record.asked_to_wait, record.warned_days) =
                    Default::default();
                let (serial, not_after) = (kept.cert.serial.clone(), kept.cert.not_after);
                let (name, issuer) = (name.clone(), wish.issuer.to_string());
                let end = CertOrderEnd::Issued { serial: serial.clone(), not_after };
                (
                    end,
                    match why {
                        Why::Missing => Event::CertIssued { name, issuer, serial, not_after },
                        Why::Renewal => Event::CertRenewed { name, issuer, serial, not_after },
                    },
                )
            }
            Err(error) => {
                record.failures = record.failures.saturating_add(1);
                let retry_at = due::retry_at(error, record.failures, jitter(), now);
                record.retry_at = Some(retry_at);
                record.asked_to_wait = error.retry_after.is_some();
                let told = told(error);
                (
                    CertOrderEnd::Failed { error: told.clone() },
                    Event::CertFailed { name: name.clone(), reason: told, retry_at },
                )
            }
        };
        record.add(CertOrderRecord { at: now, issuer: wish.issuer.to_string(), end });
        self.remember(record).await;
        if let Ok(kept) = &result {
            self.renewals.remove(&name);
            self.kept.insert(name.clone(), kept.clone());
            self.serve().await;
        }
        self.say(app.as_ref(), event);
        // Whoever gets the answer may look at once.
        self.tell();
        for reply in waiting {
            let answer = match &result {
                Ok(_) => self.status(&name),
                Err(error) => Err(again(error)),
            };
            reply.send(answer).ok(); // whoever asked has gone
        }
    }

    /// Says of what is wanted or was brought that it is about to expire, and at once of what is not to be renewed.
    async fn warn(&mut self, now: Timestamp) {
        let mut reached = Vec::new();
        for (name, kept) in &self.kept {
            let said = self.records.get(name).and_then(|record| record.warned_days);
            let wish = self.wishes.get(name).map(|(_, wish)| wish);
            let counts = kept.issuer.is_none() || wish.is_some();
            let is_renewed = kept.issuer.is_none() || wish.is_none_or(|wish| wish.auto_renew);
            let days = alarm::reached(&kept.cert, is_renewed, said, now);
            if let Some(days) = days.filter(|_| counts) {
                reached.push((name.clone(), days, kept.cert.not_after));
            }
        }
        for (name, days, not_after) in reached {
            let mut record = self.records.remove(&name).unwrap_or_else(|| CertRecord::new(name.clone()));
            record.warned_days = Some(days);
            self.remember(record).await;
            let app = self.wishes.get(&name).map(|(app, _)| app.clone());
            self.say(app.as_ref(), Event::CertExpiring { name, not_after });
        }
    }

    async fn remember(&mut self, record: CertRecord) {
        let stored = self.shared.store.append(vec![Record::Cert(Box::new(record.clone()))]);
        match tokio::time::timeout(STORE_DEADLINE, stored).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what became of an order is not stored"),
            Err(_) => tracing::warn!("what became of an order is not stored: the store does not answer"),
        }
        self.records.insert(record.name.clone(), record);
        *self.shared.certs.records.lock() = self.records.values().cloned().collect();
    }

    fn say(&self, app: Option<&AppName>, what: Event) {
        let fact = Fact { unit: None, deployment: None, what };
        self.shared.bus.publish(app, fact, None, self.shared.clock.wall());
    }
}

fn told(error: &PortError) -> String {
    match &error.fix {
        Some(fix) => format!("{error}; {fix}"),
        None => error.to_string(),
    }
}

/// The same once more, for one more who waits.
fn again(error: &PortError) -> PortError {
    PortError {
        kind: error.kind,
        context: error.to_string(),
        fix: error.fix.clone(),
        retry_after: error.retry_after,
        source: None,
    }
}
