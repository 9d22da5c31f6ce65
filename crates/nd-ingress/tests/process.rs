//! The data plane in processes of its own: the contract of its port, and what happens when one of them is killed.
//!
//! Holder and worker need a program that is one: this binary is test, holder and worker at once.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use nd_core::ports::Ingress;
use nd_ingress::{Launch, ProcessIngress, proxy_main};
use nd_testkit::contract::{ContractResult, ingress};
use nd_types::{
    AppName, Availability, Backend, EdgeState, Generation, HostPattern, PathPrefix, Route, Service,
    ServiceLimits, UnitId,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// No step takes longer unless something is broken.
const DEADLINE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).take(2).collect();
    if let [proxy, mode] = args.as_slice()
        && proxy == "proxy"
    {
        return proxy_main(mode, |word| writeln!(std::io::stdout(), "{word}"));
    }
    let tests = vec![
        trial("the_proxy_process_keeps_the_contract", contract),
        trial("a_killed_worker_is_back_and_serves_what_it_did", killed_worker),
        trial("a_killed_holder_is_replaced_and_nobody_notices", killed_holder),
        trial("a_data_plane_that_was_killed_whole_is_started_again_with_its_state", killed_whole),
        trial("the_next_daemon_adopts_what_serves", adoption),
        trial("no_request_is_lost_in_an_upgrade", upgrade),
        trial("other_settings_get_another_worker_on_the_same_port", other_settings),
        trial("a_taken_port_is_said_and_the_next_one_taken", taken_port),
        trial("a_data_plane_that_was_stopped_leaves_nothing", stopped),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async { test().await.map_err(|error| Failed::from(error.to_string())) })
    })
}

/// A data plane, and where its socket is.
struct Plane {
    ingress: ProcessIngress,
    dir: TempDir,
}

impl Plane {
    async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (ingress, notes) = ProcessIngress::start(launch(&dir)?).await?;
        assert_eq!(notes, Vec::<String>::new());
        Ok(Self { ingress, dir })
    }

    /// The processes whose argument is this mode, among those of this data plane.
    fn pids(&self, mode: &str) -> Vec<Pid> {
        let mut pids = Vec::new();
        let Ok(processes) = std::fs::read_dir("/proc") else { return pids };
        for process in processes.flatten() {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let is_ours = String::from_utf8_lossy(&environment).contains(&self.marker());
            let mut words = command.split(|byte| *byte == 0);
            if is_ours && words.any(|word| word == mode.as_bytes()) {
                let pid = process.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
                pids.extend(pid);
            }
        }
        pids
    }

    fn marker(&self) -> String {
        format!("PLANE={}", self.dir.path().display())
    }

    async fn kill(&self, mode: &str) -> Result<()> {
        let [pid] = self.pids(mode)[..] else { return Err(format!("{mode}: not one process").into()) };
        kill_process(pid, Signal::KILL)?;
        until("the end of a process", || !self.pids(mode).contains(&pid)).await
    }

    async fn stop(self) {
        self.ingress.stop(Duration::ZERO).await;
    }
}

/// Started through `env`, so that the processes of one test are told from those of another.
fn launch(dir: &TempDir) -> Result<Launch> {
    Ok(Launch {
        program: std::env::current_exe()?,
        before: vec!["/usr/bin/env".to_owned(), format!("PLANE={}", dir.path().display())],
        run_dir: dir.path().to_owned(),
        settings: serde_json::json!({"workers": 2}),
        http: vec![([127, 0, 0, 1], 0).into()],
    })
}

/// A server that answers everything with its name.
struct App {
    address: SocketAddr,
    _task: nd_supervise::ThreadHandle,
}

fn app(name: &'static str) -> Result<App> {
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

fn state(generation: u64, address: SocketAddr) -> Result<Arc<EdgeState>> {
    let app: AppName = "app".parse()?;
    let release = "aaaaaa".parse()?;
    Ok(Arc::new(EdgeState {
        generation: Generation(generation),
        services: vec![Service {
            app: app.clone(),
            backends: vec![Backend { unit: UnitId::new(&app, &release, 1), address }],
            release,
            availability: Availability::Serving,
            limits: ServiceLimits::default(),
        }],
        routes: vec![Route { host: HostPattern::new("app.test")?, path: PathPrefix::root(), app }],
        ..EdgeState::default()
    }))
}

/// One request on a connection of its own.
fn get(address: SocketAddr) -> Result<String> {
    Client::connect(address)?.get()
}

struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream, address })
    }

    /// The body of the answer; the connection is made anew when the answer says so.
    fn get(&mut self) -> Result<String> {
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

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > DEADLINE {
            return Err(format!("{what}: not within {DEADLINE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn contract() -> Result<()> {
    let started = RefCell::new(Vec::new());
    let planes: RefCell<Vec<Plane>> = RefCell::default();
    // As many as the contract asks for.
    for _ in 0..16 {
        let plane = Plane::start().await?;
        planes.borrow_mut().push(plane);
    }
    let start = || {
        let plane = planes.borrow_mut().remove(0);
        let ingress = plane.ingress.clone();
        started.borrow_mut().push(plane);
        Arc::new(ingress) as Arc<dyn Ingress>
    };
    let kept: ContractResult = ingress::run(start).await;
    for plane in started.take().into_iter().chain(planes.take()) {
        plane.stop().await;
    }
    kept
}

async fn killed_worker() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    let http = plane.ingress.http_addr();
    for _ in 0..3 {
        plane.kill("--worker").await?;
        // The connection waits in the socket that the holder has; it is not refused.
        assert_eq!(get(http)?, "one");
    }
    assert_eq!(plane.ingress.serving().await?.generation, Generation(7));
    plane.ingress.apply(state(8, app.address)?).await?;
    plane.stop().await;
    Ok(())
}

async fn killed_holder() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    let worker = plane.pids("--worker");
    let mut client = Client::connect(plane.ingress.http_addr())?;
    client.get()?;
    plane.kill("--hold").await?;
    assert_eq!(client.get()?, "one");
    until("another holder", || plane.pids("--adopt").len() == 1).await?;
    assert_eq!(plane.pids("--worker"), worker);
    plane.ingress.apply(state(8, app.address)?).await?;
    // The new holder knows all that the old one knew, and what came since.
    plane.kill("--worker").await?;
    assert_eq!(get(plane.ingress.http_addr())?, "one");
    assert_eq!(plane.ingress.serving().await?.generation, Generation(8));
    plane.stop().await;
    Ok(())
}

async fn killed_whole() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    for pid in plane.pids("--hold").into_iter().chain(plane.pids("--worker")) {
        kill_process(pid, Signal::KILL)?;
    }
    let http = plane.ingress.http_addr();
    until("it serves again", || get(http).is_ok_and(|body| body == "one")).await?;
    plane.stop().await;
    Ok(())
}

async fn adoption() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    let worker = plane.pids("--worker");
    plane.ingress.leave().await;
    assert_eq!(get(plane.ingress.http_addr())?, "one");
    let (next, _) = ProcessIngress::start(launch(&plane.dir)?).await?;
    assert_eq!(
        (next.serving().await?.generation, next.http_addr()),
        (Generation(7), plane.ingress.http_addr())
    );
    assert_eq!(plane.pids("--worker"), worker);
    next.stop(Duration::ZERO).await;
    Ok(())
}

/// Clients that never stop asking.
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failures: Arc<parking_lot::Mutex<Vec<String>>>,
    threads: Vec<nd_supervise::ThreadHandle>,
}

impl Load {
    fn on(address: SocketAddr) -> Result<Self> {
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

    async fn goes_on(&self) -> Result<()> {
        let before = self.answered.load(Ordering::SeqCst);
        until("the clients go on", || self.answered.load(Ordering::SeqCst) > before + 200).await
    }

    fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            assert_eq!(thread.join(), nd_supervise::TaskEnd::Done);
        }
        assert_eq!(*self.failures.lock(), Vec::<String>::new());
    }
}

async fn upgrade() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    let load = Load::on(plane.ingress.http_addr())?;
    for round in 0..3 {
        load.goes_on().await?;
        let (worker, holder) = (plane.pids("--worker"), plane.pids("--adopt"));
        plane.ingress.upgrade(std::env::current_exe()?).await?;
        plane.ingress.apply(state(8 + round, app.address)?).await?;
        until("the old ones have ended", || plane.pids("--worker").len() == 1).await?;
        assert_ne!(plane.pids("--worker"), worker);
        until("another holder", || plane.pids("--adopt").len() == 1 && plane.pids("--adopt") != holder)
            .await?;
        assert_eq!(plane.pids("--hold"), []);
    }
    load.goes_on().await?;
    load.end();
    plane.stop().await;
    Ok(())
}

async fn other_settings() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    let load = Load::on(plane.ingress.http_addr())?;
    load.goes_on().await?;
    plane.ingress.leave().await;
    let settings = serde_json::json!({"workers": 2, "max_head_bytes": 8192});
    let (next, _) = ProcessIngress::start(Launch { settings, ..launch(&plane.dir)? }).await?;
    assert_eq!(next.serving().await?.generation, Generation(7));
    let head = format!("GET / HTTP/1.1\r\nHost: app.test\r\nLong: {}\r\n\r\n", "x".repeat(10_000));
    let refused = || -> Result<bool> {
        let mut stream = TcpStream::connect(next.http_addr())?;
        stream.write_all(head.as_bytes())?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 431")
    };
    until("the new settings count", || refused().is_ok_and(|refused| refused)).await?;
    load.goes_on().await?;
    load.end();
    next.stop(Duration::ZERO).await;
    Ok(())
}

async fn taken_port() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let dir = tempfile::tempdir()?;
    let http = vec![taken.local_addr()?, ([127, 0, 0, 1], 0).into()];
    let (ingress, notes) = ProcessIngress::start(Launch { http, ..launch(&dir)? }).await?;
    let [note] = notes.as_slice() else { return Err(format!("{notes:?}").into()) };
    assert!(note.contains(&taken.local_addr()?.to_string()) && note.contains("in use"), "{note}");
    ingress.stop(Duration::ZERO).await;
    let only = vec![taken.local_addr()?];
    let error = ProcessIngress::start(Launch { http: only, ..launch(&dir)? }).await.err();
    assert!(error.is_some_and(|error| error.to_string().contains("in use")));
    Ok(())
}

async fn stopped() -> Result<()> {
    let plane = Plane::start().await?;
    let http = plane.ingress.http_addr();
    plane.ingress.stop(Duration::ZERO).await;
    until("every process has ended", || plane.pids("proxy").is_empty()).await?;
    assert!(TcpStream::connect(http).is_err());
    assert_eq!(std::fs::read_dir(plane.dir.path())?.count(), 0);
    Ok(())
}
