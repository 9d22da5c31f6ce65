//! The handle through which the rest of the process speaks to the workers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nd_supervise::{TaskEnd, TaskSet, ThreadHandle, blocking, thread};
use nd_types::{AppName, EdgeState, Generation, HostPattern, UnitId};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::command::{Command, Ending};
use crate::edition::Edition;
use crate::host_ports::{BindFault, HostPorts};
use crate::journal::{Outbound, Records};
use crate::net::bind::BindError;
use crate::net::sockets::SocketSet;
use crate::passwords::Verifier;
use crate::request_id::IdSource;
use crate::settings::Settings;
use crate::stats::{ProxyStats, Stats};
use crate::tls::{Keys, NoKeys, TicketKeys, Tickets};
use crate::worker::{self, DrainReport, Seed};

/// Orders that may wait for one worker; more callers wait themselves.
const COMMAND_QUEUE: usize = 64;
/// A worker obeys between two requests, that is within microseconds; one that takes so long has a fault.
const OBEY_WITHIN: Duration = Duration::from_secs(10);
/// Beyond the time a worker was given.
const SLACK: Duration = Duration::from_secs(3);

/// The running data plane. Clones are handles on the same one; it ends with [`Proxy::shutdown`] or the last handle.
#[derive(Clone, Debug)]
pub struct Proxy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: SocketAddr,
    default_host: Option<HostPattern>,
    stats: Arc<Stats>,
    records: Arc<Outbound>,
    workers: Vec<mpsc::Sender<Command>>,
    threads: Mutex<Vec<ThreadHandle>>,
    serving: Mutex<Arc<EdgeState>>,
    /// Another process serves on the same sockets.
    hands_over: AtomicBool,
    tasks: TaskSet,
    keys: Keys,
    /// Held while a state is being applied.
    ports: tokio::sync::Mutex<HostPorts>,
}

/// Why the data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The main port could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refused a thread or what it needs.
    #[error("start worker {worker}: {source}")]
    Worker {
        /// Which one, from 0.
        worker: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system has no random numbers.
    #[error("seed request ids: {0}")]
    Random(getrandom::Error),
    /// It has none for TLS.
    #[error(transparent)]
    Tickets(#[from] NoKeys),
}

/// A state that is being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub generation: Generation,
    /// Host ports that could not be opened; everything else serves. Each apply tries them again.
    pub faults: Vec<BindFault>,
}

/// Why a state does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A newer state serves already.
    #[error("apply routes of generation {refused}: generation {serving} serves already")]
    Outdated {
        /// The one that was to be applied.
        refused: Generation,
        /// The one that serves.
        serving: Generation,
    },
    /// The proxy was shut down meanwhile.
    #[error("apply routes: the proxy has ended")]
    Ended,
    /// A worker has ended or hangs; the proxy must be restarted.
    #[error("apply routes: {0}")]
    Worker(#[from] WorkerLost),
}

/// A worker did not obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proxy worker {0} does not answer; restart the proxy")]
pub struct WorkerLost(pub usize);

impl Proxy {
    /// Binds the main port and starts the workers. Serves no app until the first [`Proxy::apply`]: all hosts are unknown.
    ///
    /// # Errors
    /// [`StartError`], which names the holder of a taken port where the system tells.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let sockets = SocketSet::bind(settings.http, settings.worker_count())?;
        Self::start_workers(settings, sockets, Vec::new(), None, true)
    }

    /// Starts a worker on each of `main`, instead of binding `settings.http`: sockets that another process listens on, or
    /// did until now. Those of `host_ports` that the first state names are used, and not opened again. Accepts nothing before
    /// the first [`Proxy::apply`]: until then connections wait in the kernel, or go to the other process. With the other
    /// one's `tickets` its clients need no full handshake here.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_on(
        settings: Settings,
        main: SocketSet,
        host_ports: Vec<SocketSet>,
        tickets: Option<TicketKeys>,
    ) -> Result<Self, StartError> {
        Self::start_workers(settings, main, host_ports, tickets, false)
    }

    fn start_workers(
        settings: Settings,
        main: SocketSet,
        host_ports: Vec<SocketSet>,
        tickets: Option<TicketKeys>,
        at_once: bool,
    ) -> Result<Self, StartError> {
        let (http, count) = (main.address(), main.len());
        let (settings, stats) = (Arc::new(settings), Arc::new(Stats::new(count)));
        let records = Arc::new(Outbound::default());
        let verifier = Arc::new(Verifier::new().map_err(StartError::Random)?);
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for ((index, listener), counters) in main.into_listeners().into_iter().enumerate().zip(&stats.workers)
        {
            let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
            let seed = Seed {
                index,
                settings: Arc::clone(&settings),
                stats: Arc::clone(&stats),
                counters: Arc::clone(counters),
                records: settings.access_log.is_kept().then(|| Arc::clone(&records)),
                ids: IdSource::new().map_err(StartError::Random)?,
                verifier: Arc::clone(&verifier),
                listener,
                at_once,
                commands,
            };
            threads.push(start_worker(seed).map_err(|source| StartError::Worker { worker: index, source })?);
            workers.push(sender);
        }
        let ports = tokio::sync::Mutex::new(HostPorts::new(count, host_ports));
        let inner = Inner {
            http,
            default_host: settings.default_host.clone(),
            stats,
            records,
            workers,
            threads: Mutex::new(threads),
            serving: Mutex::default(),
            hands_over: AtomicBool::new(false),
            tasks: TaskSet::new("proxy control"),
            keys: Keys::new(Arc::new(Tickets::new(tickets)?)),
            ports,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the main port is really bound.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.inner.http
    }

    /// The number of the state that every worker serves; 0 before the first one.
    #[must_use]
    pub fn serving(&self) -> Generation {
        self.inner.serving.lock().generation
    }

    /// The state that every worker serves; an empty one before the first.
    #[must_use]
    pub fn state(&self) -> Arc<EdgeState> {
        Arc::clone(&self.inner.serving.lock())
    }

    /// What has happened so far, over all workers.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        let records_dropped = self.inner.records.dropped();
        ProxyStats { records_dropped, ..self.inner.stats.sum(self.serving()) }
    }

    /// Where access records are taken out. Up to 4 MiB of them wait for whoever does; further ones are dropped and counted.
    #[must_use]
    pub fn records(&self) -> Records {
        Records(Arc::clone(&self.inner.records))
    }

    /// Serves `state`; returns once *every* worker does and its host ports are open, those no longer named are closed.
    ///
    /// No connection of a client is closed by it. After it, no new request goes to a unit that `state` does not name;
    /// [`Proxy::drain`] waits for the old ones. Applying the generation that serves again is allowed. Once begun, it goes
    /// on even if the returned future is dropped.
    ///
    /// # Errors
    /// [`ApplyError`]; a host port that cannot be opened is not one, but a fault of its app in [`Applied`].
    pub async fn apply(&self, state: Arc<EdgeState>) -> Result<Applied, ApplyError> {
        let this = self.clone();
        let apply = self.inner.tasks.spawn_with("apply", async move { this.apply_whole(state).await });
        apply.await.unwrap_or(Err(ApplyError::Ended))
    }

    /// Left half done, a host port would have some of its sockets and could not be opened again.
    async fn apply_whole(&self, state: Arc<EdgeState>) -> Result<Applied, ApplyError> {
        let mut ports = self.inner.ports.lock().await;
        let (generation, serving) = (state.generation, self.serving());
        if generation < serving {
            return Err(ApplyError::Outdated { refused: generation, serving });
        }
        let state = self.with_default_host(state);
        let edition = Arc::new(Edition::new(Arc::clone(&state), &self.inner.stats, &self.inner.keys));
        // They are another process's already.
        let hands_over = self.inner.hands_over.load(Ordering::Acquire);
        let wanted = if hands_over { &Arc::default() } else { &state };
        let (opened, faults) = ports.open(wanted);
        self.all(|done| Command::Install { edition: Arc::clone(&edition), done }).await?;
        for (bind, listeners) in opened {
            let mut listeners = listeners.into_iter();
            let listen = |done| listeners.next().map(|listener| Command::Listen { bind, listener, done });
            for result in self.each(listen, OBEY_WITHIN).await? {
                if let Err(error) = result {
                    tracing::error!(%bind, %error, "a worker cannot serve a host port");
                }
            }
        }
        for bind in ports.close(&state) {
            self.all(|done| Command::Unlisten { bind, done }).await?;
        }
        *self.inner.serving.lock() = state;
        Ok(Applied { generation, faults })
    }

    /// The operator says which host is the default one, not whoever makes the state.
    fn with_default_host(&self, state: Arc<EdgeState>) -> Arc<EdgeState> {
        if state.default_host == self.inner.default_host {
            return state;
        }
        let default_host = self.inner.default_host.clone();
        Arc::new(EdgeState { default_host, ..(*state).clone() })
    }

    /// Waits until no request is in flight on these units, which the serving state should no longer name. WebSockets are
    /// closed with code 1012, spread over time. At the deadline what is left is cut, and counted.
    pub async fn drain(&self, units: &[UnitId], deadline: Duration) -> DrainReport {
        let units: Arc<[UnitId]> = units.into();
        let drain = |done| Some(Command::Drain { units: Arc::clone(&units), patience: deadline, done });
        let mut total = DrainReport::default();
        match self.each(drain, deadline + SLACK).await {
            Ok(reports) => reports.into_iter().for_each(|report| total.add(report)),
            Err(error) => tracing::error!(%error, "drain units"),
        }
        total
    }

    /// Lets new requests of an app wait, unread, until [`Proxy::resume`] or for at most `max`; those in flight go on.
    /// How long and how many may wait is limited by the app's hold limits as well.
    pub async fn pause(&self, app: &AppName, max: Duration) {
        self.set_pause(app, Some(max)).await;
    }

    /// Ends a pause.
    pub async fn resume(&self, app: &AppName) {
        self.set_pause(app, None).await;
    }

    async fn set_pause(&self, app: &AppName, max: Option<Duration>) {
        if let Err(error) = self.all(|done| Command::Pause { app: app.clone(), max, done }).await {
            tracing::error!(%error, %app, "pause or resume an app");
        }
    }

    /// The sleeping apps that somebody waits for, as soon as they are others than the `known` ones.
    pub async fn wanted(&self, known: &BTreeSet<AppName>) -> BTreeSet<AppName> {
        self.inner.stats.bell.heard(known).await
    }

    /// Stops accepting, answers kept-alive clients with `Connection: close`, says goodbye to WebSockets (1001), waits
    /// for what is in flight for at most `grace`, and ends the workers.
    pub async fn shutdown(&self, grace: Duration) {
        self.end(Ending::Shutdown, grace).await;
    }

    /// Ends as [`Proxy::shutdown`] does, beside another process that serves on the same sockets already: kept-alive clients
    /// may go on until their next answer, which says `Connection: close`, and WebSockets are closed one after the other
    /// (1012). Meanwhile states are still applied and units drained.
    pub async fn hand_over(&self, grace: Duration) {
        self.end(Ending::Handover, grace).await;
    }

    /// The sockets of every open host port, once more, to be handed to another process.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub async fn host_ports(&self) -> std::io::Result<Vec<SocketSet>> {
        self.inner.ports.lock().await.all()
    }

    /// The keys of session tickets, and each change of them: whoever serves next opens with them the tickets of this one.
    #[must_use]
    pub fn ticket_keys(&self) -> watch::Receiver<TicketKeys> {
        self.inner.keys.tickets().keys()
    }

    async fn end(&self, how: Ending, grace: Duration) {
        self.inner.hands_over.store(how == Ending::Handover, Ordering::Release);
        for worker in &self.inner.workers {
            if timeout(OBEY_WITHIN, worker.send(Command::End { how, grace })).await.is_err() {
                tracing::error!("a proxy worker does not take the order to end");
            }
        }
        if how == Ending::Shutdown {
            self.inner.tasks.shutdown(SLACK).await;
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        let joined = blocking("proxy shutdown", move || {
            threads.into_iter().map(ThreadHandle::join).collect::<Vec<_>>()
        });
        match timeout(grace + SLACK, joined).await {
            Ok(Ok(ends)) if ends.iter().all(|end| matches!(end, TaskEnd::Done)) => {}
            Ok(ends) => tracing::error!(?ends, "a proxy worker ended badly"),
            Err(_) => tracing::error!("a proxy worker does not end"),
        }
        self.inner.tasks.shutdown(SLACK).await;
        self.inner.records.close();
    }

    async fn all(&self, command: impl Fn(oneshot::Sender<()>) -> Command) -> Result<(), WorkerLost> {
        self.each(|done| Some(command(done)), OBEY_WITHIN).await.map(drop)
    }

    /// Gives an order to every worker and waits until all of them have carried it out.
    async fn each<T>(
        &self,
        mut command: impl FnMut(oneshot::Sender<T>) -> Option<Command>,
        within: Duration,
    ) -> Result<Vec<T>, WorkerLost> {
        let mut answers = Vec::with_capacity(self.inner.workers.len());
        for (index, worker) in self.inner.workers.iter().enumerate() {
            let (done, answer) = oneshot::channel();
            let Some(command) = command(done) else { continue };
            match timeout(within, worker.send(command)).await {
                Ok(Ok(())) => answers.push((index, answer)),
                Ok(Err(_)) | Err(_) => return Err(WorkerLost(index)),
            }
        }
        let mut results = Vec::with_capacity(answers.len());
        for (index, answer) in answers {
            match timeout(within, answer).await {
                Ok(Ok(result)) => results.push(result),
                Ok(Err(_)) | Err(_) => return Err(WorkerLost(index)),
            }
        }
        Ok(results)
    }
}

fn start_worker(seed: Seed) -> std::io::Result<ThreadHandle> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
    let name = format!("proxy-{}", seed.index);
    thread(&name, move || LocalSet::new().block_on(&runtime, worker::run(seed)))
}
