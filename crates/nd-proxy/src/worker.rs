//! One worker: a thread with its own listeners, table, pools and counters. Nothing in here is shared or locked.

mod accept;
mod account;
mod admission;
mod app;
mod client;
mod connection;
mod drain;
mod ejection;
mod entry;
mod exchange;
mod farewell;
pub(crate) mod frames;
mod greeting;
mod h2;
mod idle;
mod install;
mod ledger;
mod multiplexed;
mod plan;
mod policy;
mod raw;
mod retry_budget;
mod secure;
mod security;
mod service;
mod signal;
mod sticky;
mod trial;
mod tunnel;
mod upstream;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::{CancellationToken, LocalTaskSet, TaskHandle};
use nd_types::{AppName, UnitId};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::command::{Command, Ending};
use crate::compress::Encoders;
use crate::journal::Outbound;
use crate::net::buffers::Buffers;
use crate::passwords::Verifier;
use crate::request_id::IdSource;
use crate::settings::Settings;
use crate::stats::{Stats, WorkerCounters};

use app::App;
pub use drain::DrainReport;
use entry::Entry;
use install::Table;
use ledger::Ledger;
use signal::Signals;
use upstream::Upstream;

/// How often idle connections to apps are looked through, while there are any.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// An idle connection is given up so much earlier than the app says it would.
const KEEP_MARGIN: Duration = Duration::from_millis(500);
/// At the end, a client gets so long for a request that may be on its way already.
const LAST_CALL: Duration = Duration::from_millis(500);
/// The WebSocket close code of an endpoint that goes away (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// What a worker's thread is started with.
pub(crate) struct Seed {
    pub(crate) index: usize,
    pub(crate) settings: Arc<Settings>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) records: Option<Arc<Outbound>>,
    pub(crate) ids: IdSource,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) listener: TcpListener,
    /// Whether it accepts before there is a table.
    pub(crate) at_once: bool,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// The state of a worker; lives on its thread.
pub(crate) struct Worker {
    index: usize,
    settings: Arc<Settings>,
    counters: Arc<WorkerCounters>,
    ids: IdSource,
    /// Where access records are written, if they are.
    ledger: Option<Rc<Ledger>>,
    max_connections: usize,
    /// Handshakes that go on.
    handshakes: Rc<Cell<usize>>,
    tasks: LocalTaskSet,
    signals: Rc<Signals>,
    buffers: Rc<Buffers>,
    encoders: Rc<Encoders>,
    verifier: Arc<Verifier>,
    /// Room to write a head in.
    scratch: Cell<Vec<u8>>,
    table: RefCell<Rc<Table>>,
    apps: RefCell<HashMap<AppName, Rc<App>>>,
    upstreams: RefCell<Vec<Weak<Upstream>>>,
    ports: RefCell<HashMap<SocketAddr, Listening>>,
    closing_at: Cell<Option<Instant>>,
    something_idle: Notify,
}

/// A listener that accepts.
struct Listening {
    entry: Rc<Entry>,
    stop: CancellationToken,
    task: TaskHandle<()>,
}

/// Runs a worker until it is told to end, or nobody is left to tell it.
pub(crate) async fn run(seed: Seed) {
    let Seed { index, settings, stats, counters, records, ids, verifier, listener, at_once, mut commands } =
        seed;
    let worker = Rc::new(Worker {
        index,
        max_connections: settings.connections_per_worker(stats.workers.len()),
        settings,
        counters,
        ids,
        ledger: records.map(Ledger::new),
        tasks: LocalTaskSet::new("proxy"),
        signals: Rc::new(Signals::default()),
        buffers: Rc::default(),
        encoders: Encoders::of_one(stats.workers.len()),
        verifier,
        handshakes: Rc::default(),
        scratch: Cell::default(),
        table: RefCell::default(),
        apps: RefCell::default(),
        upstreams: RefCell::default(),
        ports: RefCell::default(),
        closing_at: Cell::new(None),
        something_idle: Notify::new(),
    });
    let (mut listener, mut main) = (Some(listener), None);
    worker.tasks.spawn("sweep", sweep(Rc::clone(&worker)));
    if let Some(ledger) = worker.ledger.clone() {
        worker.tasks.spawn("access records", ledger.flush_in_time());
    }
    let mut ending = (Ending::Shutdown, Duration::ZERO);
    let mut has_table = at_once;
    loop {
        if let Some(listener) = listener.take_if(|_| has_table) {
            match worker.listen(listener, Rc::new(Entry::Main)) {
                Ok(listening) => main = Some(listening),
                Err(error) => return tracing::error!(%error, "serve the main listener"),
            }
        }
        let Some(command) = commands.recv().await else { break };
        has_table |= matches!(command, Command::Install { .. });
        if let Command::End { how, grace } = command {
            ending = (how, grace);
            break;
        }
        worker.obey(command).await;
    }
    worker.end(main, ending.0, ending.1, &mut commands).await;
}

impl Worker {
    /// Carries out one command. Only quick ones are awaited here; a drain runs as a task of its own.
    async fn obey(self: &Rc<Self>, command: Command) {
        match command {
            Command::Install { edition, done } => {
                self.install(&edition);
                done.send(()).ok(); // whoever asked has given up waiting; the table serves all the same
            }
            Command::Listen { bind, listener, done } => {
                done.send(self.open_port(bind, listener)).ok(); // as above
            }
            Command::Unlisten { bind, done } => {
                let listening = self.ports.borrow_mut().remove(&bind);
                if let Some(listening) = listening {
                    listening.close().await;
                }
                done.send(()).ok(); // as above
            }
            Command::Pause { app, max, done } => {
                if let Some(app) = self.apps.borrow().get(&app) {
                    app.pause(max.map(|max| Instant::now() + max));
                }
                done.send(()).ok(); // as above
            }
            Command::Drain { units, patience, done } => {
                let worker = Rc::clone(self);
                self.tasks.spawn("drain", async move {
                    done.send(drain::run(&worker, &units, patience).await).ok(); // as above
                });
            }
            Command::End { .. } => {}
        }
    }

    #[expect(
        deprecated,
        reason = "it cannot know that a descriptor stays the same; that of a `TcpListener` does"
    )]
    fn listen(self: &Rc<Self>, listener: TcpListener, entry: Rc<Entry>) -> io::Result<Listening> {
        let listener = AsyncFd::with_interest(listener, Interest::READABLE)?;
        let stop = CancellationToken::new();
        let accept = accept::run(Rc::clone(self), listener, Rc::clone(&entry), stop.clone());
        Ok(Listening { entry, stop, task: self.tasks.spawn_with("listener", accept) })
    }

    fn open_port(self: &Rc<Self>, bind: SocketAddr, listener: TcpListener) -> io::Result<()> {
        let entry = self.table().entry(bind);
        let listening = self.listen(listener, Rc::new(entry))?;
        self.ports.borrow_mut().insert(bind, listening);
        Ok(())
    }

    /// Stops accepting, lets everything finish, cuts what has not finished in time.
    /// Whoever has requests in flight here still takes new tables and empties units.
    async fn end(
        self: &Rc<Self>,
        main: Option<Listening>,
        how: Ending,
        grace: Duration,
        commands: &mut mpsc::Receiver<Command>,
    ) {
        let until = Instant::now() + grace;
        let last_call = match how {
            Ending::Shutdown => LAST_CALL.min(grace),
            Ending::Handover => grace,
        };
        self.closing_at.set(Some(Instant::now() + last_call));
        let ports: Vec<Listening> = self.ports.borrow_mut().drain().map(|(_, listening)| listening).collect();
        for listening in ports.into_iter().chain(main) {
            listening.close().await;
        }
        let signals = self.signals.all();
        match how {
            Ending::Shutdown => signals.iter().for_each(|one| one.say_goodbye(Instant::now(), GOING_AWAY)),
            Ending::Handover => drain::say_goodbye_to_sockets(self, signals.clone(), grace),
        }
        signals.iter().for_each(|signal| signal.wake());
        let obey = async {
            while let Some(command) = commands.recv().await {
                self.obey(command).await;
            }
            std::future::pending::<()>().await;
        };
        let finished = async {
            tokio::select! {
                () = self.signals.emptied() => {}
                () = obey => {}
            }
        };
        if tokio::time::timeout_at(until, finished).await.is_err() {
            tracing::info!(
                worker = self.index,
                connections = self.signals.count(),
                "cut at the end of the shutdown"
            );
        }
        self.tasks.shutdown(Duration::ZERO).await;
        if let Some(ledger) = &self.ledger {
            ledger.flush();
        }
    }

    fn table(&self) -> Rc<Table> {
        Rc::clone(&self.table.borrow())
    }

    fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    fn closing_at(&self) -> Option<Instant> {
        self.closing_at.get()
    }

    fn is_closing(&self) -> bool {
        self.closing_at.get().is_some()
    }

    /// Keeps an idle connection to a unit, for less time than the app says it does.
    fn keep(&self, upstream: &Upstream, stream: tokio::net::TcpStream, apps_timeout: Option<Duration>) {
        let longest = self.settings.upstream_idle_timeout;
        let keep = apps_timeout.map_or(longest, |timeout| longest.min(timeout.saturating_sub(KEEP_MARGIN)));
        upstream.put_idle(stream, keep);
        self.something_idle.notify_one();
    }

    /// The units of these names, in the table or not, as long as anything is in flight on them.
    fn upstreams_of(&self, units: &[UnitId]) -> Vec<Rc<Upstream>> {
        let upstreams = self.upstreams.borrow();
        upstreams.iter().filter_map(Weak::upgrade).filter(|upstream| units.contains(&upstream.unit)).collect()
    }
}

impl Listening {
    /// Stops accepting and closes the socket.
    async fn close(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "a listener ended before it was closed");
        }
    }
}

/// Closes idle connections to apps in time. Sleeps without a timer while there are none.
async fn sweep(worker: Rc<Worker>) {
    loop {
        worker.something_idle.notified().await;
        loop {
            sleep(SWEEP_EVERY).await;
            let upstreams: Vec<_> = worker.upstreams.borrow().iter().filter_map(Weak::upgrade).collect();
            if upstreams.iter().map(|upstream| upstream.sweep()).sum::<usize>() == 0 {
                break;
            }
        }
    }
}
