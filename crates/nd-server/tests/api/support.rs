//! A server on stand-ins, and a client that hides nothing.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use nd_api::v1::RequestFrame;
use nd_bluegreen::{BlueGreen, Canary, Recreate, Rolling};
use nd_core::certs::CertSettings;
use nd_core::engine::EngineHandle;
use nd_core::{Engine, Registry};
use nd_logs::SegmentLog;
use nd_server::{
    ErrorLog, Facts, Figures, Host, HostSample, Listener, Server, Services, Token, UpgradeError,
    unix_listener,
};
use nd_supervise::{CancellationToken, Supervisor, SystemClock, TaskSet};
use nd_testkit::MemoryStore;
use nd_testkit::fake::{FakeCerts, FakeIngress, FakeIssuer, FakeNetwork, FakeProbe, FakeRuntime};
use nd_types::{AccessRecord, AppName, RuntimeKind, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The token of every server here.
pub(crate) const TOKEN: &str = "ndt_0123456789abcdef";

/// Who issues certificates here.
const ISSUER: &str = "authority";

/// A server at work.
pub(crate) struct World {
    pub(crate) socket: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) engine: EngineHandle,
    pub(crate) logs: Arc<SegmentLog>,
    pub(crate) store: MemoryStore,
    pub(crate) supervisor: Supervisor,
    pub(crate) issuer: Arc<FakeIssuer>,
    pub(crate) shelf: Arc<FakeCerts>,
    shutdown: CancellationToken,
    server: Server,
    tasks: TaskSet,
    _dir: tempfile::TempDir,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Either end of a connection.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

struct StubHost;

#[async_trait]
impl Host for StubHost {
    async fn sample(&self) -> HostSample {
        let details = json!({"cpus": 2});
        let (cpu_percent, memory_percent, disk_percent) = (12.5, 40.0, 60.0);
        HostSample {
            cpu_percent,
            memory_percent,
            disk_percent,
            rss_bytes: 7,
            details,
            ..HostSample::default()
        }
    }

    async fn exposition(&self, figures: Figures) -> String {
        format!("nextdeploy_apps {}\n", figures.apps.len())
    }

    fn requests(&self) -> Option<&dyn nd_server::Requests> {
        Some(self)
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    async fn reload(&self) -> Result<Vec<String>, String> {
        Err("this daemon was started without a settings file".to_owned())
    }

    async fn upgrade(&self) -> Result<(PathBuf, String), UpgradeError> {
        Err(UpgradeError::Failed("/usr/bin/nextdeployd: not found".to_owned()))
    }
}

/// Two requests that were served, and one that comes.
impl nd_server::Requests for StubHost {
    fn recent(&self, app: &AppName, count: usize) -> Vec<AccessRecord> {
        let all: Vec<_> = ["/1", "/2"].into_iter().filter_map(|path| access_record(app, path)).collect();
        all.into_iter().rev().take(count).rev().collect()
    }

    fn follow(&self, app: &AppName) -> BoxStream<'static, RequestFrame> {
        let next = access_record(app, "/3").map(|record| RequestFrame::Request(Box::new(record)));
        stream::iter(next.into_iter().chain([RequestFrame::Gap])).boxed()
    }
}

fn access_record(app: &AppName, path: &str) -> Option<AccessRecord> {
    serde_json::from_value(json!({
        "time": "2026-11-21T15:04:05Z", "app": app, "id": "r1", "client": "192.0.2.7", "method": "GET",
        "protocol": "HTTP/1.1", "host": "a.b", "path": path, "status": 200, "bytes_in": 0, "bytes_out": 1,
        "total_ms": 1.5, "end": "complete",
    }))
    .ok()
}

impl World {
    pub(crate) async fn start() -> TestResult<Self> {
        Self::start_as(false).await
    }

    pub(crate) async fn start_as(dev: bool) -> TestResult<Self> {
        Self::start_on(MemoryStore::new(), dev).await
    }

    /// A server on what an earlier one has stored.
    pub(crate) async fn start_on(store: MemoryStore, dev: bool) -> TestResult<Self> {
        let dir = tempfile::tempdir()?;
        let clock = Arc::new(SystemClock);
        let issuer = Arc::new(FakeIssuer::new(ISSUER.parse()?, clock.clone()));
        let shelf = Arc::new(FakeCerts::new());
        let engine = engine(store.clone(), clock.clone(), (&issuer, &shelf)).await?;
        let logs = Arc::new(SegmentLog::open(dir.path().join("logs"), nd_logs::Settings::default())?);
        let socket = dir.path().join("nd.sock");
        let unix = Listener::unix(unix_listener(&socket, None)?);
        let listener = Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0)), dev).await?;
        let tcp = listener.local_addr().ok_or("no address")?;
        let facts = Facts {
            version: "1.2.3".to_owned(),
            commit: None,
            started_at: Timestamp::now(),
            host: "here".to_owned(),
            data_dir: dir.path().to_owned(),
            socket: socket.clone(),
            listen: Some(tcp),
            uid: 1000,
        };
        let supervisor = Supervisor::new(clock.clone());
        let services = Services {
            engine: engine.handle(),
            logs: Arc::clone(&logs) as _,
            supervisor: supervisor.clone(),
            host: Arc::new(StubHost),
            clock,
            errors: Arc::new(ErrorLog::default()),
            token: Token::from_text(TOKEN).ok_or("no token")?,
        };
        let server = Server::new(facts, services);
        let (tasks, shutdown) = (TaskSet::new("test-server"), CancellationToken::new());
        let handle = engine.handle();
        let until = shutdown.clone();
        tasks.spawn("engine", async move { engine.run(until).await });
        for listener in [unix, listener] {
            let (server, until) = (server.clone(), shutdown.clone());
            tasks.spawn("api", async move { server.serve(&listener, until).await });
        }
        let until = shutdown.clone();
        let counting = server.clone();
        tasks.spawn("tally", async move { counting.count_restarts(until).await });
        Ok(Self {
            socket,
            tcp,
            engine: handle,
            logs,
            store,
            supervisor,
            issuer,
            shelf,
            shutdown,
            server,
            tasks,
            _dir: dir,
        })
    }

    /// Ends the server as a daemon does.
    pub(crate) async fn stop(self) -> usize {
        self.shutdown.cancel();
        self.server.close();
        self.tasks.shutdown(PATIENCE).await
    }

    /// Asks on the unix socket.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> TestResult<Answer> {
        let wire = UnixStream::connect(&self.socket).await?;
        exchange(wire, &request(method, path, "host: localhost\r\n", body)).await
    }

    /// Asks on the unix socket, with these header lines.
    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> TestResult<Answer> {
        let wire = UnixStream::connect(&self.socket).await?;
        exchange(wire, &request(method, path, &format!("host: localhost\r\n{headers}"), body)).await
    }

    /// Sends a request on the unix socket and leaves without the answer.
    pub(crate) async fn ask_and_leave(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> TestResult {
        let mut wire = UnixStream::connect(&self.socket).await?;
        let request = request(method, path, &format!("host: localhost\r\n{headers}"), body);
        Ok(wire.write_all(request.as_bytes()).await?)
    }

    /// Asks on the TCP port, with these header lines.
    pub(crate) async fn ask_tcp(&self, path: &str, headers: &str) -> TestResult<Answer> {
        self.ask_tcp_with("GET", path, headers, "").await
    }

    pub(crate) async fn ask_tcp_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> TestResult<Answer> {
        let wire = TcpStream::connect(self.tcp).await?;
        exchange(wire, &request(method, path, headers, body)).await
    }

    /// Deploys through `/api/v1` and waits for the end; answers the last record of the stream.
    pub(crate) async fn deployed(&self, app: &str, manifest: Value) -> TestResult<Value> {
        let id = self.begun(app, manifest).await?;
        let answer = self.ask("GET", &format!("/api/v1/deployments/{id}/stream"), "").await?;
        answer.ndjson()?.pop().ok_or_else(|| "an empty stream".into())
    }

    /// Begins a deployment through `/api/v1`.
    pub(crate) async fn begun(&self, app: &str, manifest: Value) -> TestResult<String> {
        let body = json!({ "manifest": manifest }).to_string();
        let answer = self.ask("POST", &format!("/api/v1/apps/{app}/deployments"), &body).await?;
        assert_eq!(answer.status, 202, "{}", answer.body);
        Ok(answer.json()?.at("/id").as_str().ok_or("no id")?.to_owned())
    }
}

impl Answer {
    pub(crate) fn json(&self) -> TestResult<Value> {
        serde_json::from_str(&self.body).map_err(|error| format!("{error}: {}", self.body).into())
    }

    pub(crate) fn ndjson(&self) -> TestResult<Vec<Value>> {
        self.body.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A manifest of an image.
pub(crate) fn image(app: &str, reference: &str) -> Value {
    json!({"app": {"name": app, "port": 3000}, "image": reference})
}

/// The manifest with one value more.
pub(crate) fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(Value::Object(fields)) = manifest.pointer_mut(parent) {
        fields.insert(key.to_owned(), value);
    }
    manifest
}

/// Reading JSON by place.
pub(crate) trait At {
    /// The value at a JSON pointer (RFC 6901); null where there is none.
    fn at(&self, pointer: &str) -> &Value;
}

impl At for Value {
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or(&Value::Null)
    }
}

/// HTTP/1.0, so that the answer ends with the connection and is never chunked.
fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.0\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

async fn exchange(mut wire: impl Wire, request: &str) -> TestResult<Answer> {
    let mut whole = Vec::new();
    let talk = async {
        wire.write_all(request.as_bytes()).await?;
        wire.read_to_end(&mut whole).await
    };
    timeout(PATIENCE, talk).await??;
    let text = String::from_utf8(whole)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

async fn engine(
    store: MemoryStore,
    clock: Arc<SystemClock>,
    (issuer, shelf): (&Arc<FakeIssuer>, &Arc<FakeCerts>),
) -> TestResult<Engine> {
    let network = FakeNetwork::default();
    let registry = Registry::builder()
        .runtime(Arc::new(FakeRuntime::new(RuntimeKind::Docker, &network, clock.clone())))
        .runtime(Arc::new(FakeRuntime::new(RuntimeKind::Process, &network, clock.clone())))
        .ingress(Arc::new(FakeIngress::new()))
        .probe(Arc::new(FakeProbe::new(&network)))
        .strategy(Arc::new(BlueGreen))
        .strategy(Arc::new(Recreate))
        .strategy(Arc::new(Rolling))
        .strategy(Arc::new(Canary))
        .issuer(Arc::clone(issuer) as _)
        .certs(Arc::clone(shelf) as _)
        .build()?;
    let listen = vec![SocketAddr::from(([127, 0, 0, 1], 8443))];
    let certs = CertSettings { listen, fallback: None, issuer: Some(ISSUER.parse()?) };
    Ok(Engine::builder(registry).store(Arc::new(store)).clock(clock).certs(certs).build().await?)
}
