//! The workers of the daemon, each under its name: who is restarted, who is critical, who needs whom.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nd_core::Engine;
use nd_logs::SegmentLog;
use nd_server::{Listener, Server};
use nd_supervise::{
    Backoff, CancellationToken, Supervisor, SupervisorError, WorkerContext, WorkerError, WorkerSpec,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::access_log::AccessLog;
use crate::proxy::DataPlane;
use crate::watchdog;

/// How often logs that are kept long enough are removed.
const RETENTION: Duration = Duration::from_secs(600);

/// How often a worker says that it is alive; all say so at the same moments, so that an idle daemon hardly wakes.
const BEAT: Duration = Duration::from_secs(20);

/// How long the last requests may take to the disk once the data plane has ended.
const LAST_REQUESTS: Duration = Duration::from_millis(300);

/// A worker that has not said so for this long blocks its thread.
const STALLED: Duration = Duration::from_secs(60);

/// Somebody waits for every one of them: it is back at once.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(50), factor: 2, cap: Duration::from_secs(10) };

/// What the workers work with.
pub(crate) struct Work {
    pub(crate) engine: Engine,
    pub(crate) logs: Arc<SegmentLog>,
    /// The log of requests, and who serves them.
    pub(crate) requests: Option<(AccessLog, DataPlane)>,
    pub(crate) server: Server,
    pub(crate) unix: Listener,
    pub(crate) tcp: Listener,
    /// Cancelled when the API is to take no more requests.
    pub(crate) api: CancellationToken,
    /// Cancelled when the daemon ends.
    pub(crate) ending: CancellationToken,
}

/// A piece of the server that works until it is told to end.
type ServerWork = fn(Server, CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The server's own workers beside its listeners.
const OF_SERVER: [(&str, ServerWork); 3] = [
    ("restart-count", |server, until| Box::pin(async move { server.count_restarts(until).await })),
    ("host-stats", |server, until| Box::pin(async move { server.sample_host(until).await })),
    ("statistics", |server, until| Box::pin(async move { server.log_statistics(until).await })),
];

/// Starts all of them; what needs another worker comes after it.
pub(crate) fn start(supervisor: &Supervisor, work: Work) -> Result<(), SupervisorError> {
    let Work { engine, logs, requests, server, unix, tcp, api, ending } = work;
    let engine = Arc::new(engine);
    add(supervisor, WorkerSpec::new("engine").critical().grace(Duration::from_secs(11)), move |context| {
        run_engine(Arc::clone(&engine), ending.clone(), context)
    })?;
    add(supervisor, WorkerSpec::new("log-retention"), move |context| sweep(Arc::clone(&logs), context))?;
    if let Some((log, proxy)) = requests {
        // It ends with the data plane: what was served last is written down too.
        add(supervisor, WorkerSpec::new("access-log"), move |context| {
            let (log, proxy) = (log.clone(), proxy.clone());
            async move {
                let write = pin!(log.write(&proxy));
                let ended = async {
                    context.shutdown.cancelled().await;
                    sleep(LAST_REQUESTS).await;
                };
                tokio::select! {
                    () = write => {}
                    () = ended => {}
                }
                Ok(())
            }
        })?;
    }
    for (name, work) in OF_SERVER {
        let server = server.clone();
        add(supervisor, WorkerSpec::new(name).after(&["engine"]), move |context| {
            let work = work(server.clone(), context.shutdown);
            async move {
                work.await;
                Ok(())
            }
        })?;
    }
    let unix_spec = WorkerSpec::new("api-unix").critical().after(&["engine"]);
    let tcp_spec = WorkerSpec::new("api-tcp").after(&["engine"]);
    for (spec, listener) in [(unix_spec, Arc::new(unix)), (tcp_spec, Arc::new(tcp))] {
        let (server, api) = (server.clone(), api.clone());
        add(supervisor, spec, move |context| {
            answer(server.clone(), Arc::clone(&listener), api.clone(), context)
        })?;
    }
    if let Some(allowed) = sd_notify::watchdog_enabled() {
        let watched = supervisor.clone();
        add(supervisor, WorkerSpec::new("watchdog").after(&["engine", "api-unix"]), move |context| {
            let watched = watched.clone();
            async move {
                watchdog::feed(&watched, allowed, context.shutdown).await;
                Ok(())
            }
        })?;
    }
    Ok(())
}

fn add<F, Fut>(supervisor: &Supervisor, spec: WorkerSpec, work: F) -> Result<(), SupervisorError>
where
    F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), WorkerError>> + Send + 'static,
{
    let spec = spec.backoff(BACKOFF).stall_after(STALLED);
    supervisor.add(spec, move |context| alive(context.clone(), work(context)))
}

/// Does the work and says meanwhile that it is alive: work that blocks its thread does not let it.
async fn alive(
    context: WorkerContext,
    work: impl Future<Output = Result<(), WorkerError>>,
) -> Result<(), WorkerError> {
    let mut work = pin!(work);
    loop {
        context.heartbeat();
        tokio::select! {
            done = work.as_mut() => return done,
            () = sleep_until(next_beat()) => {}
        }
    }
}

fn next_beat() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let beats = START.elapsed().as_millis() / BEAT.as_millis();
    *START + BEAT.saturating_mul(u32::try_from(beats + 1).unwrap_or(u32::MAX))
}

/// Runs the engine until the daemon ends. A restart of the worker drops the run where it waits, as a panic does:
/// reconcilers and actions under way belong to the engine itself and go on.
async fn run_engine(
    engine: Arc<Engine>,
    ending: CancellationToken,
    context: WorkerContext,
) -> Result<(), WorkerError> {
    let run = ending.child_token();
    let _ended = run.clone().drop_guard();
    let restarted = async {
        context.shutdown.cancelled().await;
        if ending.is_cancelled() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = engine.run(run) => {}
        () = restarted => {}
    }
    Ok(())
}

async fn sweep(logs: Arc<SegmentLog>, context: WorkerContext) -> Result<(), WorkerError> {
    loop {
        logs.sweep().await?;
        tokio::select! {
            () = sleep(RETENTION) => {}
            () = context.shutdown.cancelled() => return Ok(()),
        }
    }
}

async fn answer(
    server: Server,
    listener: Arc<Listener>,
    api: CancellationToken,
    context: WorkerContext,
) -> Result<(), WorkerError> {
    let until = api.child_token();
    let serve = server.serve(&listener, until.clone());
    let mut serve = pin!(serve);
    tokio::select! {
        () = serve.as_mut() => {}
        () = context.shutdown.cancelled() => {
            until.cancel();
            serve.await;
        }
    }
    Ok(())
}
