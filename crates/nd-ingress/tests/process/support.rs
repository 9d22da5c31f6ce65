//! Apps, states and clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nd_types::{
    AppName, Availability, Backend, EdgeState, Generation, HostPattern, PathPrefix, Route, RouteOptions,
    Service, ServiceLimits, UnitId,
};

pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// No step takes longer unless something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// A server that answers everything with its name.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    _task: nd_supervise::ThreadHandle,
}

pub(crate) fn app(name: &'static str) -> Result<App> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let accept = move || {
        for mut stream in listener.incoming().flatten() {
            let serve = move || {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    seen.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    while let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                        seen.drain(..end + 4);
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            };
            nd_supervise::thread("app connection", serve).ok();
        }
    };
    Ok(App { address, _task: nd_supervise::thread("app", accept)? })
}

pub(crate) fn state(generation: u64, address: SocketAddr) -> Result<Arc<EdgeState>> {
    let app: AppName = "app".parse()?;
    let release = "aaaaaa".parse()?;
    Ok(Arc::new(EdgeState {
        generation: Generation(generation),
        services: vec![Service {
            app: app.clone(),
            backends: vec![Backend {
                unit: UnitId::new(&app, &release, 1),
                address,
                started: None,
                protocol: nd_types::AppProtocol::default(),
            }],
            release,
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
            rules: Arc::default(),
            gate: nd_types::Gate::Open,
            split: None,
            tls: Arc::default(),
        }],
        routes: vec![Route {
            host: HostPattern::new("app.test")?,
            path: PathPrefix::root(),
            app,
            options: RouteOptions::default(),
        }],
        ..EdgeState::default()
    }))
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr) -> Result<String> {
    Client::connect(address)?.get()
}

pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream, address })
    }

    /// The body of the answer; the connection is made anew when the answer says so.
    pub(crate) fn get(&mut self) -> Result<String> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")?;
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                return Err(format!("closed after {:?}", String::from_utf8_lossy(&seen)).into());
            }
            seen.extend_from_slice(buffer.get(..count).unwrap_or_default());
            let text = String::from_utf8_lossy(&seen).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() < length.unwrap_or("0").parse()? {
                continue;
            }
            if !head.starts_with("HTTP/1.1 200") {
                return Err(text.into());
            }
            if head.contains("Connection: close") {
                *self = Self::connect(self.address)?;
            }
            return Ok(body.to_owned());
        }
    }
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > DEADLINE {
            return Err(format!("{what}: not within {DEADLINE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Clients that never stop asking.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failures: Arc<parking_lot::Mutex<Vec<String>>>,
    threads: Vec<nd_supervise::ThreadHandle>,
}

impl Load {
    pub(crate) fn on(address: SocketAddr) -> Result<Self> {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let failures: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
        let mut threads = Vec::new();
        for number in 0..8 {
            let (over, answered, failures) =
                (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&failures));
            threads.push(nd_supervise::thread("client", move || {
                let client = || -> Result<()> {
                    let mut client = Client::connect(address)?;
                    while !over.load(Ordering::SeqCst) {
                        client.get()?;
                        answered.fetch_add(1, Ordering::SeqCst);
                        if number % 4 == 0 {
                            client = Client::connect(address)?;
                        }
                    }
                    Ok(())
                };
                if let Err(error) = client() {
                    failures.lock().push(error.to_string());
                }
            })?);
        }
        Ok(Self { over, answered, failures, threads })
    }

    pub(crate) async fn goes_on(&self) -> Result<()> {
        let before = self.answered.load(Ordering::SeqCst);
        until("the clients go on", || self.answered.load(Ordering::SeqCst) > before + 200).await
    }

    pub(crate) fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            assert_eq!(thread.join(), nd_supervise::TaskEnd::Done);
        }
        assert_eq!(*self.failures.lock(), Vec::<String>::new());
    }
}
