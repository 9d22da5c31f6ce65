//! The daemon: start everything, serve, and end in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nd_core::EngineHandle;
use nd_logs::{Collector, SegmentLog};
use nd_server::{ErrorLog, Facts, ListenError, Listener, Server, Services, Token, unix_listener};
use nd_supervise::{CancellationToken, Supervisor, SystemClock};
use nd_types::Timestamp;
use sd_notify::NotifyState;

use crate::activation;
use crate::fail_point;
use crate::host::DaemonHost;
use crate::lock::{DataLock, LockError};
use crate::logging;
use crate::options::{Chosen, RunOptions};
use crate::paths::Paths;
use crate::signals::{Asked, Signals};
use crate::wiring::{self, Parts};
use crate::workers::{self, Work};

/// How long `--stop-apps` may take; the whole daemon has 25 s.
const STOP_APPS: Duration = Duration::from_secs(14);

/// How long requests through the proxy may take to finish when the daemon ends.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the workers may take.
const STOP_WORKERS: Duration = Duration::from_secs(4);

/// How long the lines that were read last may take to the disk.
const LAST_LINES: Duration = Duration::from_secs(1);

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
    let paths = Paths::new(&chosen).map_err(system("find the data directory"))?;
    paths.create().map_err(system("make the data directory"))?;
    let _lock = DataLock::take(&paths.data)?;
    // Two threads: the daemon mostly waits, and the proxy has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(system("start the runtime"))?;
    let result = runtime.block_on(serve(&chosen, &paths, errors));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

async fn serve(chosen: &Chosen, paths: &Paths, errors: Arc<ErrorLog>) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(system("listen to signals"))?;
    let mut parts = wiring::build(chosen, paths).await?;
    for note in &parts.notes {
        tracing::warn!("{note}");
    }
    let held = activation::control_socket().map_err(system("take the socket that systemd holds"))?;
    let is_held = held.is_some();
    let socket = held.as_ref().and_then(activation::path).unwrap_or_else(|| paths.socket.clone());
    let paths = &Paths { socket, ..paths.clone() };
    let unix = Listener::unix(match held {
        Some(held) => held,
        None => unix_listener(&paths.socket, group_id(GROUP))?,
    });
    let tcp = Listener::tcp(chosen.listen, chosen.dev).await?;
    let listen = tcp.local_addr();
    let supervisor = Supervisor::new(Arc::new(SystemClock));
    let host =
        Arc::new(DaemonHost::new(chosen, paths, std::mem::take(&mut parts.notes), parts.proxy.clone()));
    let server =
        server(paths, listen.or(Some(chosen.listen)), &parts, &supervisor, Arc::clone(&host), errors)?;
    let (engine, proxy) = (parts.engine.handle(), parts.proxy.clone());
    let (collector, logs) = (parts.collector.clone(), Arc::clone(&parts.logs));
    let (api, ending) = (CancellationToken::new(), CancellationToken::new());
    let work = Work {
        engine: parts.engine,
        logs: parts.logs,
        server: server.clone(),
        unix,
        tcp,
        api: api.clone(),
        ending: ending.clone(),
    };
    workers::start(&supervisor, work).map_err(|error| RunError::Start(error.to_string()))?;
    announce(paths, listen, &engine);
    let signal = tokio::select! {
        signal = wait_for_end(&mut signals, &host) => signal,
        () = fail_point::strike_workers(&supervisor) => "SIGTERM",
    };
    tracing::info!("Received {signal}, starting graceful shutdown...");
    notify(&[NotifyState::Stopping]);
    api.cancel();
    server.close();
    if chosen.stop_apps {
        stop_apps(&engine).await;
    }
    proxy.end(!chosen.stop_apps && !engine.list().is_empty(), DRAIN).await;
    ending.cancel();
    let report = supervisor.shutdown(STOP_WORKERS).await;
    keep_last_lines(&collector, &logs).await;
    if !report.is_clean() {
        tracing::warn!(aborted = ?report.aborted, "workers did not end in time");
    }
    if !is_held {
        std::fs::remove_file(&paths.socket).ok();
    }
    tracing::info!("{}", server.statistics());
    tracing::info!("ended; {}", if chosen.stop_apps { "apps are stopped" } else { "apps go on running" });
    Ok(())
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

/// Stops every app as `--stop-apps` asks; the next daemon starts them again.
async fn stop_apps(engine: &EngineHandle) {
    for app in engine.suspend(STOP_APPS).await {
        tracing::warn!(%app, "did not stop in time");
    }
}

/// Stops reading what apps write, and waits until what was read is on disk. The next daemon reads on from there.
async fn keep_last_lines(collector: &Collector, logs: &SegmentLog) {
    let kept = async {
        collector.shutdown().await;
        logs.flush().await
    };
    match tokio::time::timeout(LAST_LINES, kept).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last lines of the apps may not be kept"),
        Err(_) => tracing::warn!("the last lines of the apps may not be kept: the disk does not answer"),
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
