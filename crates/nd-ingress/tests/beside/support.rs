//! An app behind a server, and visitors in front of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nd_supervise::TaskSet;
use nd_types::{
    AppName, Availability, Backend, EdgeState, Gate, Generation, HostPattern, PathPrefix, Route,
    RouteOptions, Service, ServiceLimits, UnitId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

pub(crate) type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The host of the app.
pub(crate) const APP: &str = "shop.localhost";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// An app that answers `app` to everything, and speaks WebSocket as far as its first answer.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    _tasks: TaskSet,
}

impl App {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, tasks) = (listener.local_addr()?, TaskSet::new("app"));
        let connections = tasks.clone();
        tasks.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn("connection", async move {
                    // The server may drop its connections whenever it likes.
                    serve(stream).await.ok();
                });
            }
        });
        Ok(Self { address, _tasks: tasks })
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        if head.contains("upgrade: websocket") && head.contains("connection: upgrade") {
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            stream.write_all(answer.as_bytes()).await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napp").await?;
    }
}

/// A state in which these hosts lead to the app, or to nobody.
pub(crate) fn state(generation: u64, hosts: &[&str], address: Option<SocketAddr>) -> Result<Arc<EdgeState>> {
    let (app, release) = ("shop".parse::<AppName>()?, "8f3k2a".parse()?);
    let unit = UnitId::new(&app, &release, 1);
    let backend =
        |address| Backend { unit: unit.clone(), address, started: None, protocol: Default::default() };
    let service = Service {
        app: app.clone(),
        release: release.clone(),
        backends: address.into_iter().map(backend).collect(),
        availability: Availability::Serving,
        limits: ServiceLimits::default(),
        rules: Arc::default(),
        gate: Gate::Open,
        split: None,
        tls: Default::default(),
    };
    let route = |host: &&str| {
        let host = HostPattern::pattern(host)?;
        Ok(Route { host, path: PathPrefix::root(), app: app.clone(), options: RouteOptions::default() })
    };
    Ok(Arc::new(EdgeState {
        generation: Generation(generation),
        services: vec![service],
        routes: hosts.iter().map(route).collect::<Result<_, nd_types::InvalidHost>>()?,
        ..EdgeState::default()
    }))
}

/// Status and body of `GET /`.
pub(crate) async fn ask(at: SocketAddr, host: &str) -> Result<(u16, String)> {
    let (status, body) = timeout(PATIENCE, exchange(at, host, "Connection: close\r\n")).await??;
    Ok((status, body))
}

/// Whether a WebSocket comes through, and back what is said on it.
pub(crate) async fn echoes(at: SocketAddr, host: &str) -> Result<bool> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await??);
    }
    stream.write_all(b"ping").await?;
    let mut back = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut back)).await??;
    Ok(head.starts_with(b"HTTP/1.1 101") && &back == b"ping")
}

async fn exchange(at: SocketAddr, host: &str, fields: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

/// Waits until it holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) -> Result {
    let give_up = Instant::now() + PATIENCE;
    while !holds().await {
        if Instant::now() > give_up {
            return Err(format!("no {what} in time").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
