//! One book for the routes of all apps: it merges them into one numbered state and waits until that serves.

mod books;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nd_types::{AppName, EdgeState, Generation, HostPattern, TlsState};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::certs::{CertWish, wishes};
use crate::model::RoutesServing;
use crate::ports::{Applied, EdgeTls, Ingress, IssuerName, PortError, PortErrorKind, PortResult};
use crate::routes::AppRoutes;
use crate::spec::TlsSpec;

pub(crate) use books::Books;

/// How long the ingress may take until a state serves.
const APPLY_DEADLINE: Duration = Duration::from_secs(15);

/// A state that an ingress did not take is offered to it again after this time, unless there is another one before.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a daemon that has just started may take to read its certificates.
const CERTIFICATES: Duration = Duration::from_secs(5);

/// The routes of all apps.
pub struct RouteBook {
    ingress: Arc<dyn Ingress>,
    book: Mutex<Book>,
    changed: Notify,
    outcome: watch::Sender<Outcome>,
    /// Told after every change of an app's routes.
    edited: watch::Sender<()>,
}

#[derive(Default)]
struct Book {
    apps: BTreeMap<AppName, AppRoutes>,
    /// Apps whose routes have not been set since the daemon began: theirs stay as they serve.
    unsettled: BTreeSet<AppName>,
    tls: Arc<TlsState>,
    /// Whether certificates have been set since the daemon began: until then they stay as they serve.
    knows_tls: bool,
    /// Whether certificates are shown only for hosts that are routed, and nothing at all is said where no app is.
    needs_routes: bool,
    /// Whether what serves has been taken over.
    has_inherited: bool,
    /// Counts the changes; a change is served when an outcome has its number or a higher one.
    version: u64,
}

/// How the last attempt to make a version serve ended.
#[derive(Clone, Default)]
struct Outcome {
    version: u64,
    result: Option<Result<Applied, (PortErrorKind, String)>>,
}

impl RouteBook {
    /// A book whose states are served by `ingress`. What that already serves of the apps in `known` stays until their
    /// routes are set: a daemon that has just started knows less than the ingress.
    #[must_use]
    pub fn new(ingress: Arc<dyn Ingress>, known: impl IntoIterator<Item = AppName>) -> Self {
        Self::that_tells(watch::Sender::new(()), ingress, known)
    }

    /// The same, which tells `edited` of every change of an app's routes.
    pub(crate) fn that_tells(
        edited: watch::Sender<()>,
        ingress: Arc<dyn Ingress>,
        known: impl IntoIterator<Item = AppName>,
    ) -> Self {
        let book = Book {
            unsettled: known.into_iter().collect(),
            needs_routes: ingress.caps().tls != EdgeTls::AsTold,
            ..Book::default()
        };
        Self {
            ingress,
            book: Mutex::new(book),
            changed: Notify::new(),
            outcome: watch::Sender::new(Outcome::default()),
            edited,
        }
    }

    /// Replaces the routes of an app (or takes them away) and returns when that serves. Changes of several apps that
    /// come together are served together.
    ///
    /// # Errors
    /// What the ingress says; the change stays in the book and goes out with the next one.
    pub async fn set(&self, app: &AppName, routes: Option<AppRoutes>) -> PortResult<RoutesServing> {
        let edit = |book: &mut Book| {
            book.unsettled.remove(app);
            match routes {
                Some(routes) => book.apps.insert(app.clone(), routes),
                None => book.apps.remove(app),
            };
            self.edited.send_replace(());
        };
        let applied = self.edit(edit).await?;
        Ok(RoutesServing {
            generation: applied.generation,
            faults: applied.faults.into_iter().filter(|fault| fault.app.as_ref() == Some(app)).collect(),
        })
    }

    /// Takes away the routes of an app, if this book has them, and returns when that serves.
    ///
    /// # Errors
    /// As [`RouteBook::set`].
    pub(crate) async fn let_go(&self, app: &AppName) -> PortResult<()> {
        self.inherited().await;
        let has_it = {
            let book = self.book.lock();
            book.apps.contains_key(app) || book.unsettled.contains(app)
        };
        if has_it { self.set(app, None).await.map(drop) } else { Ok(()) }
    }

    /// Waits until it is known what the ingress has.
    async fn inherited(&self) {
        let mut outcomes = self.outcome.subscribe();
        let begun = outcomes.wait_for(|_| self.book.lock().has_inherited);
        tokio::time::timeout(APPLY_DEADLINE, begun).await.map(drop).ok();
    }

    /// Changes where TLS is spoken, its certificates or what is said to certificate authorities, and returns when that
    /// serves; faults are those of its listeners. The first change since the daemon began starts from nothing. A server beside
    /// us is told only what its apps have a use for.
    ///
    /// # Errors
    /// What the ingress says; the change stays in the book and goes out with the next one.
    pub async fn edit_tls(&self, change: impl FnOnce(&mut TlsState)) -> PortResult<Applied> {
        if !self.ingress.caps().tls.shows_ours() {
            self.book.lock().knows_tls = true;
            self.changed.notify_one();
            return Ok(Applied::default());
        }
        if self.ingress.caps().tls != EdgeTls::AsTold {
            self.inherited().await;
        }
        let is_seen = self.book.lock().change_tls(change);
        if !is_seen {
            self.changed.notify_one();
            return Ok(Applied::default());
        }
        let mut applied = self.edit(|_| {}).await?;
        applied.faults.retain(|fault| fault.app.is_none());
        Ok(applied)
    }

    /// The certificates that apps want, by first name, from `default` where they name nobody. Of two apps with one host the
    /// first one's wish counts.
    pub(crate) fn wishes(&self, default: Option<&IssuerName>) -> BTreeMap<HostPattern, (AppName, CertWish)> {
        let mut all = BTreeMap::new();
        let caps = self.ingress.caps();
        if !caps.tls.shows_ours() {
            return all;
        }
        for (app, routes) in &self.book.lock().apps {
            for wish in wishes(routes, default, caps.kind) {
                if let Some(name) = wish.names.first().cloned() {
                    all.entry(name).or_insert_with(|| (app.clone(), wish));
                }
            }
        }
        all
    }

    /// Makes a change and waits until it serves.
    async fn edit(&self, change: impl FnOnce(&mut Book)) -> PortResult<Applied> {
        let mut outcomes = self.outcome.subscribe();
        let version = {
            let mut book = self.book.lock();
            change(&mut book);
            book.version += 1;
            book.version
        };
        self.changed.notify_one();
        let served = outcomes.wait_for(|outcome| outcome.version >= version);
        let outcome = match tokio::time::timeout(APPLY_DEADLINE * 2, served).await {
            Ok(Ok(outcome)) => outcome.result.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        match outcome {
            Some(Ok(applied)) => Ok(applied),
            Some(Err((kind, message))) => Err(PortError::new(kind, message)),
            None => Err(PortError::new(
                PortErrorKind::Timeout,
                "routes: the proxy did not confirm the new table in time",
            )),
        }
    }

    /// Serves every change until `shutdown`, beginning with what is in the book. One worker runs this.
    pub async fn run(&self, shutdown: &CancellationToken) {
        let Some(serving) = shutdown.run_until_cancelled(self.serving()).await else { return };
        self.book.lock().inherit(&serving);
        // Whoever waits for just that is woken.
        self.outcome.send_modify(|_| {});
        if shutdown.run_until_cancelled(self.certificates()).await.is_none() {
            return;
        }
        let mut generation = serving.generation;
        let (mut tried, mut failed) = (0, false);
        loop {
            let (version, state) = self.merged(generation.next());
            if version == tried {
                let again = if failed { AGAIN } else { Duration::MAX };
                let changed = tokio::time::timeout(again, self.changed.notified());
                match shutdown.run_until_cancelled(changed).await {
                    Some(Ok(())) => continue,
                    // What was to be let go must not come back with a server that comes back.
                    Some(Err(_)) => {}
                    None => return,
                }
            }
            tried = version;
            generation = generation.next();
            let result = self.apply(state).await;
            let outgrown = result.as_ref().is_err_and(|error| error.kind == PortErrorKind::Conflict);
            failed = result.is_err();
            let result = result.map_err(|error| (error.kind, error.to_string()));
            self.outcome.send_replace(Outcome { version, result: Some(result) });
            if outgrown {
                let Some(serving) = shutdown.run_until_cancelled(self.serving()).await else { return };
                generation = serving.generation.max(generation);
            }
        }
    }

    /// What serves, as soon as the ingress can say so: a lower generation would be refused.
    async fn serving(&self) -> Arc<EdgeState> {
        let mut pause = Duration::from_millis(50);
        loop {
            match tokio::time::timeout(APPLY_DEADLINE, self.ingress.serving()).await {
                Ok(Ok(state)) => return state,
                Ok(Err(error)) => tracing::warn!(%error, "the proxy does not say what it serves"),
                Err(_) => tracing::warn!("the proxy does not answer"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Waits a moment until the certificates are known, where the ingress does not say which of them serve: without them it
    /// would stop to speak TLS.
    async fn certificates(&self) {
        let known = async {
            while self.book.lock().lacks_tls() {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(CERTIFICATES, known).await.ok();
    }

    async fn apply(&self, state: EdgeState) -> PortResult<Applied> {
        match tokio::time::timeout(APPLY_DEADLINE, self.ingress.apply(Arc::new(state))).await {
            Ok(result) => result,
            Err(_) => {
                let context = "routes: the proxy did not take the new table in time";
                Err(PortError::new(PortErrorKind::Timeout, context))
            }
        }
    }

    fn merged(&self, generation: Generation) -> (u64, EdgeState) {
        let book = self.book.lock();
        let mut state = EdgeState { generation, tls: book.shown_tls(), ..EdgeState::default() };
        for routes in book.apps.values() {
            state.services.push(routes.service.clone());
            state.routes.extend(routes.routes.iter().cloned());
            state.host_ports.extend(routes.host_ports.iter().cloned());
        }
        (book.version, state)
    }
}

impl Book {
    /// Whether anything changes for those who are served by it.
    fn change_tls(&mut self, change: impl FnOnce(&mut TlsState)) -> bool {
        let (knew, before) = (self.knows_tls, self.shown_tls());
        change(Arc::make_mut(&mut self.tls));
        self.knows_tls = true;
        let is_same = self.apps.is_empty() || (knew && before == self.shown_tls());
        !self.needs_routes || !is_same
    }

    /// What the ingress is told of TLS.
    fn shown_tls(&self) -> Arc<TlsState> {
        if !self.needs_routes {
            return Arc::clone(&self.tls);
        }
        let routes = self.apps.values().flat_map(|routes| &routes.routes);
        let mut certificates: Vec<_> =
            routes.filter_map(|route| self.tls.certificate(route.host.as_str()).cloned()).collect();
        certificates.sort_by(|one, other| one.names.cmp(&other.names));
        certificates.dedup();
        Arc::new(TlsState { certificates, ..TlsState::clone(&self.tls) })
    }

    /// Whether it would serve its apps without certificates that it does not know yet.
    fn lacks_tls(&self) -> bool {
        self.needs_routes && !self.knows_tls && !self.apps.is_empty()
    }

    /// Takes over what serves of the apps that nobody has spoken for yet, and the certificates.
    fn inherit(&mut self, serving: &EdgeState) {
        if !self.knows_tls {
            self.tls = Arc::clone(&serving.tls);
        }
        for service in serving.services.iter().filter(|service| self.unsettled.contains(&service.app)) {
            let ours = |app: &AppName| *app == service.app;
            let routes = AppRoutes {
                service: service.clone(),
                routes: serving.routes.iter().filter(|route| ours(&route.app)).cloned().collect(),
                host_ports: serving.host_ports.iter().filter(|port| ours(&port.app)).cloned().collect(),
                units: service.backends.iter().map(|backend| backend.unit.clone()).collect(),
                mix: 0,
                ingress: None,
                // Nothing new until it is known what the app wants.
                tls: Arc::new(TlsSpec { enabled: false, ..TlsSpec::default() }),
            };
            self.apps.insert(service.app.clone(), routes);
        }
        self.unsettled.clear();
        self.has_inherited = true;
    }
}
