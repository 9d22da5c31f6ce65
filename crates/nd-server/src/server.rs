//! The server: what it stands on, and one instance of it for every listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use nd_core::engine::EngineHandle;
use nd_core::ports::LogStore;
use nd_supervise::{CancellationToken, Clock, Mono, Supervisor, TaskSet};
use nd_types::{Timestamp, format_duration};
use tokio::sync::Semaphore;

use crate::auth::Token;
use crate::counters::ErrorLog;
use crate::host::Host;
use crate::host_history::HostHistory;
use crate::idempotency::Answers;
use crate::listen::{self, Listener};
use crate::routes;
use crate::tally::Tally;
use crate::usage::UsageBook;

/// What the server stands on.
pub struct Services {
    /// Edits and shows what should be.
    pub engine: EngineHandle,
    /// The lines that apps wrote.
    pub logs: Arc<dyn LogStore>,
    /// The workers of the daemon.
    pub supervisor: Supervisor,
    /// The process around the server.
    pub host: Arc<dyn Host>,
    /// Where the time is read.
    pub clock: Arc<dyn Clock>,
    /// Counts errors of the daemon.
    pub errors: Arc<ErrorLog>,
    /// The token of the TCP port.
    pub token: Token,
}

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The daemon's version.
    pub version: String,
    /// The commit it was built from, where that is known.
    pub commit: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// The host's name.
    pub host: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// Where the API listens on TCP.
    pub listen: Option<SocketAddr>,
    /// The user it runs as.
    pub uid: u32,
}

/// Answers API requests.
#[derive(Clone)]
pub struct Server {
    api: Arc<Api>,
    router: Router,
}

/// What every handler shares.
pub(crate) struct Api {
    pub(crate) facts: Facts,
    pub(crate) services: Services,
    pub(crate) started: Mono,
    /// Requests answered so far.
    pub(crate) requests: AtomicU64,
    pub(crate) usage: UsageBook,
    pub(crate) tally: Tally,
    pub(crate) history: HostHistory,
    /// Answers to requests that must not be done twice, and the ones under way.
    pub(crate) answers: Arc<Answers>,
    pub(crate) once: TaskSet,
    /// Room for log sockets, which leave their listener's count behind when they are upgraded.
    pub(crate) sockets: Arc<Semaphore>,
    /// Ends every stream.
    pub(crate) closing: CancellationToken,
}

/// Time between two lines of statistics.
const STATISTICS: Duration = Duration::from_secs(300);

/// Log sockets at a time: each may hold a few megabytes of lines for a slow reader.
const SOCKETS: usize = 128;

impl Server {
    /// A server that listens nowhere yet.
    #[must_use]
    pub fn new(facts: Facts, services: Services) -> Self {
        let api = Arc::new(Api {
            started: services.clock.mono(),
            facts,
            services,
            requests: AtomicU64::new(0),
            usage: UsageBook::default(),
            tally: Tally::default(),
            history: HostHistory::default(),
            answers: Arc::default(),
            once: TaskSet::new("api-once"),
            sockets: Arc::new(Semaphore::new(SOCKETS)),
            closing: CancellationToken::new(),
        });
        Self { router: routes::router(&api), api }
    }

    /// Answers the listener's requests until `shutdown`; then requests under way get 2 s. May be called again.
    pub async fn serve(&self, listener: &Listener, shutdown: CancellationToken) {
        listen::serve(listener, self.router.clone(), shutdown).await;
    }

    /// Ends every stream, on all listeners: the daemon ends.
    pub fn close(&self) {
        self.api.closing.cancel();
    }

    /// Samples the host every 10 s until `shutdown`, for `/api/monitoring/metrics`.
    pub async fn sample_host(&self, shutdown: CancellationToken) {
        self.api.history.run(&*self.api.services.host, shutdown).await;
    }

    /// Logs how the daemon fares every 5 minutes until `shutdown`.
    pub async fn log_statistics(&self, shutdown: CancellationToken) {
        let mut due = tokio::time::interval_at(tokio::time::Instant::now() + STATISTICS, STATISTICS);
        while shutdown.run_until_cancelled(due.tick()).await.is_some() {
            tracing::info!("{}", self.statistics());
        }
    }

    /// The line of statistics, whose rest is JSON as in eternal mode:
    /// `Daemon Stats: {"uptime":"1h42m","restarts":3,"crashes":2,"status":"running"}`. What it counts are apps.
    #[must_use]
    pub fn statistics(&self) -> String {
        let uptime = format_duration(Duration::from_secs(self.api.uptime().as_secs().max(1)));
        let counts = self.api.tally.daemon();
        let (restarts, crashes) = (counts.restarts, counts.crashes);
        let status = match self.api.services.supervisor.is_healthy() {
            _ if self.api.closing.is_cancelled() => "stopped",
            true => "running",
            false => "degraded",
        };
        format!(
            r#"Daemon Stats: {{"uptime":"{uptime}","restarts":{restarts},"crashes":{crashes},"status":"{status}"}}"#
        )
    }

    /// Counts restarts and crashes of apps, from what is stored and then live, until `shutdown`.
    pub async fn count_restarts(&self, shutdown: CancellationToken) {
        self.api.tally.run(&self.api.services.engine, shutdown).await;
    }
}

impl Api {
    pub(crate) fn engine(&self) -> &EngineHandle {
        &self.services.engine
    }

    /// How long the daemon runs.
    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.services.clock.mono().saturating_since(self.started)
    }
}
