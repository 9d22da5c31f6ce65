//! A proxy, clients and apps for the tests: raw bytes on real sockets, every wait with a deadline.

#[path = "support/wire.rs"] // other tests include this file
mod wire;

use std::future::Future;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nd_proxy::Proxy;
pub(crate) use nd_proxy::Settings;
use nd_supervise::TaskSet;
use nd_types::{
    AppProtocol, Availability, Backend, EdgeState, Generation, HostPattern, HostPort, HostPortProtocol,
    PathPrefix, Route, RouteOptions, Service, ServiceLimits, TlsState, TrafficRules, UnitId,
};
use tokio::net::TcpListener;
use tokio::time::timeout;
pub(crate) use wire::*;

/// No step of a test takes longer unless something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Fails instead of hanging.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    timeout(DEADLINE, future).await.map_err(|_| Error::other(format!("{what}: not within {DEADLINE:?}")))
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(what, poll).await
}

/// Settings for tests: a free port, two workers.
pub(crate) fn settings() -> Settings {
    Settings { http: ([127, 0, 0, 1], 0).into(), workers: 2, ..Settings::default() }
}

/// Starts a proxy that serves nothing yet.
pub(crate) fn start(settings: Settings) -> Result<Proxy> {
    Proxy::start(settings).map_err(Error::other)
}

/// Starts a proxy that serves one app at `app.test`.
pub(crate) async fn start_for(app: &Upstream) -> Result<Proxy> {
    let proxy = start(settings())?;
    apply(&proxy, State::new(1).app("app", "aaaaaa", &[app.address])).await?;
    Ok(proxy)
}

/// Applies a state; host port faults are errors here.
pub(crate) async fn apply(proxy: &Proxy, state: State) -> Result<()> {
    let applied = proxy.apply(state.build()?).await.map_err(Error::other)?;
    if applied.faults.is_empty() { Ok(()) } else { Err(Error::other(format!("{:?}", applied.faults))) }
}

/// A state in the making.
pub(crate) struct State(Result<EdgeState>);

impl State {
    pub(crate) fn new(generation: u64) -> Self {
        Self(Ok(EdgeState { generation: Generation(generation), ..EdgeState::default() }))
    }

    /// Adds an app at `<name>.test`.
    pub(crate) fn app(self, name: &str, release: &str, addresses: &[SocketAddr]) -> Self {
        let added = self.and(|state| {
            let backend = |(slot, address): (u16, &SocketAddr)| {
                Ok(Backend {
                    unit: unit(name, release, slot)?,
                    address: *address,
                    started: None,
                    protocol: AppProtocol::Http,
                })
            };
            state.services.push(Service {
                app: parsed(name)?,
                release: parsed(release)?,
                backends: (1..).zip(addresses).map(backend).collect::<Result<_>>()?,
                availability: Availability::Serving,
                limits: ServiceLimits::default(),
                rules: Arc::default(),
                gate: nd_types::Gate::Open,
                split: None,
                tls: Arc::default(),
            });
            Ok(())
        });
        added.route(&format!("{name}.test"), "/", name)
    }

    pub(crate) fn route(self, host: &str, path: &str, app: &str) -> Self {
        self.and(|state| {
            let host = HostPattern::pattern(host).map_err(Error::other)?;
            state.routes.push(Route {
                host,
                path: PathPrefix::new(path),
                app: parsed(app)?,
                options: RouteOptions::default(),
            });
            Ok(())
        })
    }

    pub(crate) fn port(self, bind: SocketAddr, app: &str, protocol: HostPortProtocol) -> Self {
        self.and(|state| {
            state.host_ports.push(HostPort { bind, app: parsed(app)?, protocol });
            Ok(())
        })
    }

    /// Changes what is spoken with TLS.
    pub(crate) fn tls(self, change: impl FnOnce(&mut TlsState)) -> Self {
        self.and(|state| {
            change(Arc::make_mut(&mut state.tls));
            Ok(())
        })
    }

    /// Changes the route added last.
    pub(crate) fn passage(self, change: impl FnOnce(&mut RouteOptions)) -> Self {
        self.and(|state| {
            let route = state.routes.last_mut().ok_or_else(|| Error::other("no route"))?;
            change(&mut route.options);
            Ok(())
        })
    }

    /// Changes the rules of the app added last.
    pub(crate) fn rules(self, change: impl FnOnce(&mut TrafficRules)) -> Self {
        self.with(|service| change(Arc::make_mut(&mut service.rules)))
    }

    /// Changes the app added last.
    pub(crate) fn with(self, change: impl FnOnce(&mut Service)) -> Self {
        self.and(|state| {
            state.services.last_mut().map(change);
            Ok(())
        })
    }

    pub(crate) fn limits(self, change: impl FnOnce(&mut ServiceLimits)) -> Self {
        self.with(|service| change(&mut service.limits))
    }

    pub(crate) fn build(self) -> Result<Arc<EdgeState>> {
        self.0.map(Arc::new)
    }

    fn and(self, change: impl FnOnce(&mut EdgeState) -> Result<()>) -> Self {
        Self(self.0.and_then(|mut state| change(&mut state).map(|()| state)))
    }
}

pub(crate) fn unit(app: &str, release: &str, slot: u16) -> Result<UnitId> {
    Ok(UnitId::new(&parsed(app)?, &parsed(release)?, slot))
}

pub(crate) fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> Result<T> {
    text.parse().map_err(Error::other)
}

/// A port that was free a moment ago.
pub(crate) async fn free_port() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").await?.local_addr()
}

/// An app.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
    tasks: TaskSet,
}

impl Upstream {
    /// An app that does with each connection what `serve` says.
    pub(crate) async fn raw<F, Fut>(serve: F) -> Result<Self>
    where
        F: Fn(Wire, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self::raw_at(([127, 0, 0, 1], 0).into(), serve).await
    }

    pub(crate) async fn raw_at<F, Fut>(address: SocketAddr, serve: F) -> Result<Self>
    where
        F: Fn(Wire, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (tasks, count, read) =
            (TaskSet::new("test app"), Arc::clone(&connections), Arc::clone(&requests));
        let connection_tasks = tasks.clone();
        tasks.spawn("accept", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let serve = serve(Wire::new(stream).counted(&read), number);
                connection_tasks.spawn("connection", async move {
                    serve.await.ok();
                });
            }
        });
        Ok(Self { address, connections, requests, tasks })
    }

    /// An app that answers every request with its name, a line feed, and the request as it came: head, then body.
    pub(crate) async fn named(name: &'static str) -> Result<Self> {
        Self::raw(move |wire, _| echo(wire, name)).await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Ends the app and all its connections.
    pub(crate) async fn kill(&self) {
        self.tasks.shutdown(Duration::ZERO).await;
    }
}

async fn echo(mut wire: Wire, name: &'static str) -> Result<()> {
    loop {
        let request = wire.message(Kind::Request).await?;
        let body = format!("{name}\n{}{}", request.head, String::from_utf8_lossy(&request.body));
        wire.send(ok(&body)).await?;
    }
}

/// A complete answer with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
