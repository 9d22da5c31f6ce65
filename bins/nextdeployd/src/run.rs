//! The daemon: start everything, serve, and end in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nd_core::EngineHandle;
use nd_server::{ErrorLog, Facts, ListenError, Listener, Server, Services, Token, unix_listener};
use nd_supervise::{CancellationToken, Supervisor, SystemClock};
use nd_types::Timestamp;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

use crate::activation::{Held, Legacy};
use crate::descriptors;
use crate::fail_point;
use crate::host::DaemonHost;
use crate::lock::{DataLock, LockError};
use crate::logging;
use crate::options::{Chosen, RunOptions};
use crate::paths::Paths;
use crate::running::{Apps, Running};
use crate::signals::{Asked, Signals};
use crate::wiring::{self, Parts};
use crate::workers::{self, Work};

/// The group whose members may use the control socket.
const GROUP: &str = "nextdeploy";

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The settings are wrong.
    #[error("{0}")]
    Config(String),
    /// Another daemon has the data directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Something could not be set up.
    #[error("{0}")]
    Start(String),
    /// The API has nowhere to listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl RunError {
    /// 2 for what the user wrote, 5 for a conflict with another daemon, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Lock(LockError::Held { .. }) => 5,
            Self::Lock(_) | Self::Start(_) | Self::Listen(_) | Self::System { .. } => 1,
        }
    }
}

/// Runs the daemon until a signal ends it.
pub(crate) fn run(options: &RunOptions) -> Result<(), RunError> {
    let chosen = options.choose()?;
    let errors = Arc::new(ErrorLog::default());
    logging::init(&chosen.settings.log, Arc::clone(&errors));
    descriptors::raise();
    let paths = Paths::new(&chosen).map_err(system("find the data directory"))?;
    paths.create().map_err(system("make the data directory"))?;
    let _lock = DataLock::take(&paths.data)?;
    // Two threads: the daemon mostly waits, and the proxy has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(system("start the runtime"))?;
    let result = runtime.block_on(serve(&chosen, &paths, errors));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result? {
        Ended::ForGood => Ok(()),
        Ended::Upgraded(program, legacy) => {
            Err(system("become the new version")(legacy.become_program(&program)))
        }
    }
}

/// How a daemon has ended.
enum Ended {
    ForGood,
    /// This program goes on with what was left open.
    Upgraded(PathBuf, Legacy),
}

/// Why it ends.
enum Why {
    Signal(&'static str),
    Upgrade(PathBuf),
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

async fn serve(chosen: &Chosen, paths: &Paths, errors: Arc<ErrorLog>) -> Result<Ended, RunError> {
    let mut signals = Signals::new().map_err(system("listen to signals"))?;
    let mut parts = wiring::build(chosen, paths).await?;
    for note in &parts.notes {
        tracing::warn!("{note}");
    }
    let held = Held::take().map_err(system("take the sockets that are open already"))?;
    let by_systemd = held.by_systemd;
    let socket = held.path().filter(|_| by_systemd).unwrap_or_else(|| paths.socket.clone());
    let paths = &Paths { socket, ..paths.clone() };
    let (unix, tcp) = listeners(held, chosen, paths).await?;
    let listen = tcp.local_addr();
    let duplicate = |listener: &Listener| listener.duplicate().map_err(system("keep a socket open"));
    let legacy = Legacy { control: duplicate(&unix)?, api: duplicate(&tcp)?, by_systemd };
    let supervisor = Supervisor::new(Arc::new(SystemClock));
    let notes = std::mem::take(&mut parts.notes);
    let host = Arc::new(DaemonHost::new(chosen, paths, notes, parts.proxy.clone(), parts.requests.clone()));
    let server =
        server(paths, listen.or(Some(chosen.listen)), &parts, &supervisor, Arc::clone(&host), errors)?;
    let (api, ending) = (CancellationToken::new(), CancellationToken::new());
    let requests = parts.requests.map(|log| (log, parts.proxy.clone()));
    let running = Running {
        supervisor: supervisor.clone(),
        server: server.clone(),
        engine: parts.engine.handle(),
        proxy: parts.proxy,
        collector: parts.collector,
        logs: Arc::clone(&parts.logs),
        api: api.clone(),
        ending: ending.clone(),
    };
    let work = Work { engine: parts.engine, logs: parts.logs, requests, server, unix, tcp, api, ending };
    workers::start(&supervisor, work).map_err(|error| RunError::Start(error.to_string()))?;
    announce(paths, listen, &running.engine);
    let why = tokio::select! {
        signal = wait_for_end(&mut signals, &host) => Why::Signal(signal),
        program = host.successor() => Why::Upgrade(program),
        () = fail_point::strike_workers(&supervisor) => Why::Signal("SIGTERM"),
    };
    match &why {
        Why::Signal(signal) => {
            tracing::info!("Received {signal}, starting graceful shutdown...");
            notify(&[NotifyState::Stopping]);
        }
        Why::Upgrade(program) => {
            tracing::info!("{} takes over", program.display());
            notify(&reloading());
        }
    }
    if let Why::Upgrade(program) = why {
        running.end(Apps::Served).await;
        return Ok(Ended::Upgraded(program, legacy));
    }
    running.end(if chosen.stop_apps { Apps::Stopped } else { Apps::Running }).await;
    if !by_systemd {
        std::fs::remove_file(&paths.socket).ok();
    }
    tracing::info!("ended; {}", if chosen.stop_apps { "apps are stopped" } else { "apps go on running" });
    Ok(Ended::ForGood)
}

/// Where requests to the daemon come in: on what is open already, where it is what was asked for.
async fn listeners(held: Held, chosen: &Chosen, paths: &Paths) -> Result<(Listener, Listener), RunError> {
    let unix = match held.control {
        Some(held) => held,
        None => unix_listener(&paths.socket, group_id(GROUP))?,
    };
    let fits = |api: &TcpListener| api.local_addr().is_ok_and(|bound| is_asked_for(bound, chosen.listen));
    let tcp = match held.api.filter(fits) {
        Some(held) => Listener::over_tcp(held, chosen.dev),
        None => Listener::tcp(chosen.listen, chosen.dev).await?,
    };
    Ok((Listener::unix(unix), tcp))
}

fn is_asked_for(bound: SocketAddr, asked: SocketAddr) -> bool {
    bound == asked || (asked.port() == 0 && asked.ip() == bound.ip())
}

fn server(
    paths: &Paths,
    listen: Option<SocketAddr>,
    parts: &Parts,
    supervisor: &Supervisor,
    host: Arc<DaemonHost>,
    errors: Arc<ErrorLog>,
) -> Result<Server, RunError> {
    let token = Token::load_or_create(&paths.token()).map_err(|error| RunError::Start(error.to_string()))?;
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: None,
        started_at: Timestamp::now(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        data_dir: paths.data.clone(),
        socket: paths.socket.clone(),
        listen,
        uid: rustix::process::geteuid().as_raw(),
    };
    let services = Services {
        engine: parts.engine.handle(),
        logs: Arc::clone(&parts.logs) as _,
        supervisor: supervisor.clone(),
        host,
        clock: Arc::new(SystemClock),
        errors,
        token,
    };
    Ok(Server::new(facts, services))
}

fn announce(paths: &Paths, listen: Option<SocketAddr>, engine: &EngineHandle) {
    let listen = listen.map_or_else(String::new, |listen| format!(" and http://{listen}"));
    tracing::info!(
        "API on unix://{}{listen}; proxy on http://{}",
        paths.socket.display(),
        engine.http_addr()
    );
    notify(&[NotifyState::Ready]);
}

async fn wait_for_end(signals: &mut Signals, host: &DaemonHost) -> &'static str {
    loop {
        match signals.next().await {
            Asked::End(signal) => return signal,
            Asked::Reload => {
                notify(&reloading());
                host.reload_and_log().await;
                notify(&[NotifyState::Ready]);
            }
        }
    }
}

/// That the settings are read again, and since when: without the time `Type=notify-reload` fails.
fn reloading() -> Vec<NotifyState<'static>> {
    let since = NotifyState::monotonic_usec_now().ok();
    std::iter::once(NotifyState::Reloading).chain(since).collect()
}

/// Tells systemd; without one, nothing happens.
fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// The id of a group of this host, from `/etc/group`.
fn group_id(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}
