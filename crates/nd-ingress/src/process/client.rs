//! The daemon's side: one connection to the worker that serves, and to each that only finishes.

mod link;
mod records;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nd_core::ports::{
    AppTraffic, Applied, BindFault, DrainReport, EdgeFeature, EdgeTls, Ingress, IngressCaps, PortError,
    PortErrorKind, PortResult,
};
use nd_proxy::ProxyStats;
use nd_supervise::TaskSet;
use nd_types::{AppName, EdgeState, IngressKind, UnitId};
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::launch::{self, Launch, LaunchError};
use super::message::{Answer, Greeting, VERSION, Wish};
use crate::figures;
use link::Link;

/// How long the data plane may take to answer: it may have to be started first.
const ANSWER: Duration = Duration::from_secs(15);
/// Longer than it listens for callers of sleeping apps.
const LISTEN: Duration = Duration::from_secs(90);
/// Beyond the time that a drain was given.
const SLACK: Duration = Duration::from_secs(5);
/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(20);
/// How long clients of a worker that was replaced may take for their last request.
const FINISH: Duration = Duration::from_secs(10);

/// The data plane in processes of its own, which serve on when this one is gone.
///
/// It is started when it does not run, adopted when it does, and started again, with the last state, when it was killed.
#[derive(Clone)]
pub struct ProcessIngress {
    inner: Arc<Inner>,
}

struct Inner {
    launch: Launch,
    http: SocketAddr,
    link: tokio::sync::Mutex<Option<Link>>,
    retiring: Mutex<Vec<Link>>,
    last: Mutex<Option<Arc<EdgeState>>>,
    ends: AtomicBool,
    tasks: TaskSet,
}

impl ProcessIngress {
    /// Adopts the data plane that runs in `launch.run_dir`, or starts one. One with other settings, or of another version of
    /// this program, gets other processes, without a refused connection.
    ///
    /// # Errors
    /// [`LaunchError`]: the port is taken, the program cannot be started, or it does not answer.
    pub async fn start(launch: Launch) -> Result<(Self, Vec<String>), LaunchError> {
        let (mut link, mut greeting, notes) = adopt_or_start(&launch).await?;
        let differs = greeting.version != VERSION || greeting.settings != launch.settings;
        if differs || !is_of_our_file(greeting.pid) {
            let program = launch.program.display().to_string();
            link.replace(program, launch.settings.clone(), FINISH).await.map_err(LaunchError::Refused)?;
            let stream = UnixStream::connect(launch.socket()).await.map_err(LaunchError::connect)?;
            (link, greeting) = greet(stream).await?;
        }
        tracing::info!(
            pid = greeting.pid,
            generation = greeting.serving.0,
            "the proxy serves in a process of its own"
        );
        let inner = Inner {
            launch,
            http: greeting.http,
            link: tokio::sync::Mutex::new(Some(link)),
            retiring: Mutex::default(),
            last: Mutex::default(),
            ends: AtomicBool::new(false),
            tasks: TaskSet::new("proxy link"),
        };
        let this = Self { inner: Arc::new(inner) };
        let watch = this.clone();
        this.inner.tasks.spawn("watch the proxy", async move { watch.watch().await });
        Ok((this, notes))
    }

    /// What has happened since the worker began; nothing while it cannot be asked.
    pub async fn stats(&self) -> ProxyStats {
        match self.call(Wish::Stats, ANSWER).await {
            Ok(Answer::Stats(stats)) => *stats,
            Ok(_) => ProxyStats::default(),
            Err(error) => {
                tracing::warn!(%error, "ask the proxy for its figures");
                ProxyStats::default()
            }
        }
    }

    /// Lets new requests of an app wait for at most `max`.
    ///
    /// # Errors
    /// `Unavailable` when the proxy cannot be reached.
    pub async fn pause(&self, app: &AppName, max: Duration) -> PortResult<()> {
        self.call(Wish::Pause { app: app.clone(), max }, ANSWER).await.map(drop)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As [`ProcessIngress::pause`].
    pub async fn resume(&self, app: &AppName) -> PortResult<()> {
        self.call(Wish::Resume { app: app.clone() }, ANSWER).await.map(drop)
    }

    /// Puts a worker and a holder of `program` into the place of those that run; returns when the old worker has finished.
    ///
    /// # Errors
    /// Why the new ones do not serve; the old ones go on then.
    pub async fn upgrade(&self, program: PathBuf) -> PortResult<()> {
        let settings = self.inner.launch.settings.clone();
        let grace_ms = u64::try_from(FINISH.as_millis()).unwrap_or(u64::MAX);
        let wish = Wish::Replace { program: program.display().to_string(), settings, grace_ms };
        match self.call(wish, ANSWER * 2).await? {
            Answer::Failed { error } => {
                return Err(PortError::new(PortErrorKind::Internal, format!("upgrade the proxy: {error}")));
            }
            _ => tracing::info!("the proxy was upgraded"),
        }
        let finished = async {
            // The new worker is reached first: then it is known which one retires.
            self.call(Wish::Stats, ANSWER).await.ok();
            let retiring = self.inner.retiring.lock().clone();
            for link in retiring {
                link.closed().await;
            }
        };
        if tokio::time::timeout(FINISH + SLACK, finished).await.is_err() {
            tracing::warn!("the replaced proxy worker has not ended in time");
        }
        Ok(())
    }

    /// Leaves the data plane running, for the next daemon.
    pub async fn leave(&self) {
        self.inner.ends.store(true, Ordering::Release);
        self.inner.tasks.shutdown(Duration::ZERO).await;
    }

    /// Ends the data plane: what is in flight may take `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.inner.ends.store(true, Ordering::Release);
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let ended = async {
            if let Ok(link) = self.link().await
                && link.ask(Wish::Stop { grace_ms }).await.is_some()
            {
                link.closed().await;
                self.inner.launch.gone().await;
                self.inner.launch.gone().await;
            }
        };
        if tokio::time::timeout(grace + SLACK, ended).await.is_err() {
            tracing::warn!("the proxy has not ended in time");
        }
        self.inner.tasks.shutdown(Duration::ZERO).await;
    }

    /// Keeps a connection, so that a data plane that was killed is started again at once, and not at the next deployment.
    async fn watch(&self) {
        loop {
            match self.link().await {
                Ok(link) => link.lost().await,
                Err(error) => {
                    tracing::error!(%error, "reach the proxy; trying again");
                    tokio::time::sleep(RETRY * 10).await;
                }
            }
        }
    }

    /// The connection to the worker that serves.
    async fn link(&self) -> Result<Link, LaunchError> {
        let mut current = self.inner.link.lock().await;
        if let Some(link) = current.take() {
            if !link.is_lost() {
                return Ok(current.insert(link).clone());
            }
            if link.is_retiring() {
                let mut retiring = self.inner.retiring.lock();
                retiring.retain(|link| !link.is_closed());
                retiring.push(link);
            }
        }
        let stream = match UnixStream::connect(self.inner.launch.socket()).await {
            Ok(stream) => stream,
            Err(error) if self.inner.ends.load(Ordering::Acquire) => return Err(LaunchError::connect(error)),
            Err(_) => {
                tracing::error!("the proxy is gone; starting it again");
                let again = Launch { http: vec![self.inner.http], ..self.inner.launch.clone() };
                launch::start(&again).await?.0
            }
        };
        let (link, greeting) = greet(stream).await?;
        let last = self.inner.last.lock().clone();
        if let Some(state) = last.filter(|state| state.generation > greeting.serving) {
            link.ask(Wish::Apply { state: Box::new(state.as_ref().clone()) }).await;
        }
        Ok(current.insert(link).clone())
    }

    /// Asks until there is an answer: every wish may be repeated.
    async fn call(&self, wish: Wish, patience: Duration) -> PortResult<Answer> {
        let until = Instant::now() + patience;
        let mut last = "it does not answer".to_owned();
        let answered = async {
            loop {
                match self.link().await {
                    Ok(link) => {
                        if let Some(answer) = link.ask(wish.clone()).await {
                            return answer;
                        }
                        last = "it went away".to_owned();
                    }
                    Err(error) => last = error.to_string(),
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        match timeout_at(until, answered).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(PortError::new(
                PortErrorKind::Unavailable,
                format!("reach the proxy: {last}; see its log"),
            )),
        }
    }

    /// The same to each worker that only finishes: it has clients too.
    async fn call_retiring(&self, wish: &Wish) -> Vec<Answer> {
        let retiring: Vec<Link> = {
            let mut retiring = self.inner.retiring.lock();
            retiring.retain(|link| !link.is_closed());
            retiring.clone()
        };
        let answers = retiring.iter().map(|link| link.ask(wish.clone()));
        futures_util::future::join_all(answers).await.into_iter().flatten().collect()
    }
}

async fn adopt_or_start(launch: &Launch) -> Result<(Link, Greeting, Vec<String>), LaunchError> {
    if let Ok(stream) = UnixStream::connect(launch.socket()).await {
        let (link, greeting) = match greet(stream).await {
            Ok(greeted) => greeted,
            // It ended at this moment.
            Err(_) if UnixStream::connect(launch.socket()).await.is_err() => return start(launch).await,
            Err(error) => return Err(error),
        };
        if launch.http.iter().any(|wanted| serves(*wanted, greeting.http)) {
            return Ok((link, greeting, Vec::new()));
        }
        tracing::info!(old = %greeting.http, "the proxy is to listen elsewhere; starting it anew");
        link.ask(Wish::Stop { grace_ms: 0 }).await;
        link.closed().await;
        launch.gone().await;
    }
    start(launch).await
}

async fn start(launch: &Launch) -> Result<(Link, Greeting, Vec<String>), LaunchError> {
    let (stream, notes) = launch::start(launch).await?;
    let (link, greeting) = greet(stream).await?;
    Ok((link, greeting, notes))
}

/// Whether a process runs the very file that this one does. Where that cannot be told, nobody is replaced for it.
fn is_of_our_file(pid: u32) -> bool {
    let file =
        |process: &str| fs::metadata(format!("/proc/{process}/exe")).map(|file| (file.dev(), file.ino()));
    match (file("self"), file(&pid.to_string())) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        _ => true,
    }
}

fn serves(wanted: SocketAddr, bound: SocketAddr) -> bool {
    wanted == bound || (wanted.port() == 0 && wanted.ip() == bound.ip())
}

async fn greet(stream: UnixStream) -> Result<(Link, Greeting), LaunchError> {
    let link = Link::over(stream);
    let answer = tokio::time::timeout(ANSWER, link.ask(Wish::Hello { version: VERSION })).await;
    match answer {
        Ok(Some(Answer::Hello(greeting))) => Ok((link, greeting)),
        Ok(_) => Err(LaunchError::Silent),
        Err(_) => Err(LaunchError::Silent),
    }
}

#[async_trait]
impl Ingress for ProcessIngress {
    fn caps(&self) -> IngressCaps {
        IngressCaps { kind: IngressKind::Embedded, features: &EdgeFeature::ALL, tls: EdgeTls::AsTold }
    }

    fn http_addr(&self) -> SocketAddr {
        self.inner.http
    }

    async fn check(&self) -> PortResult<()> {
        // Whoever is killed is started again, and what is asked meanwhile waits.
        Ok(())
    }

    async fn apply(&self, state: Arc<EdgeState>) -> PortResult<Applied> {
        let wish = Wish::Apply { state: Box::new(state.as_ref().clone()) };
        let (answer, _) = tokio::join!(self.call(wish.clone(), ANSWER), self.call_retiring(&wish));
        match answer? {
            Answer::Applied { generation, faults } => {
                *self.inner.last.lock() = Some(state);
                let faults = faults.into_iter();
                let faults =
                    faults.map(|fault| BindFault { bind: fault.bind, app: fault.app, error: fault.error });
                Ok(Applied { generation, faults: faults.collect() })
            }
            Answer::Outdated { refused, serving } => Err(PortError::new(
                PortErrorKind::Conflict,
                format!("apply routes of generation {refused}: generation {serving} serves already"),
            )),
            Answer::Failed { error } => Err(PortError::new(PortErrorKind::Internal, error)),
            _ => Err(unexpected()),
        }
    }

    async fn serving(&self) -> PortResult<Arc<EdgeState>> {
        match self.call(Wish::State, ANSWER).await? {
            Answer::State(state) => Ok(Arc::new(*state)),
            _ => Err(unexpected()),
        }
    }

    async fn drain(&self, units: &[UnitId], deadline: Duration) -> PortResult<DrainReport> {
        let wish = Wish::Drain { units: units.to_vec(), patience: deadline };
        let (answer, others) =
            tokio::join!(self.call(wish.clone(), deadline + SLACK), self.call_retiring(&wish));
        let mut total = DrainReport::default();
        for answer in others.into_iter().chain([answer?]) {
            if let Answer::Drained { finished, cut, websockets_closed, websockets_cut } = answer {
                total.finished += finished;
                total.cut += cut;
                total.websockets_closed += websockets_closed;
                total.websockets_cut += websockets_cut;
            }
        }
        Ok(total)
    }

    async fn wanted(&self, known: &BTreeSet<AppName>) -> PortResult<BTreeSet<AppName>> {
        match self.call(Wish::Wanted { known: known.clone() }, LISTEN).await? {
            Answer::Wanted { apps } => Ok(apps),
            _ => Err(unexpected()),
        }
    }

    async fn traffic(&self, app: &AppName) -> PortResult<AppTraffic> {
        match self.call(Wish::Stats, ANSWER).await? {
            Answer::Stats(stats) => Ok(figures::of_app(&stats, app)),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> PortError {
    PortError::new(PortErrorKind::Internal, "the proxy gave an answer to another question")
}
