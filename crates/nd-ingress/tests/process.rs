//! The data plane in processes of its own: the contract of its port, and what happens when one of them is killed.
//!
//! Holder and worker need a program that is one: this binary is test, holder and worker at once.

#[path = "process/support.rs"]
mod support;
#[path = "process/tls.rs"]
mod tls;
#[path = "process/visitors.rs"]
mod visitors;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use nd_core::ports::Ingress;
use nd_ingress::{Launch, ProcessIngress, proxy_main};
use nd_testkit::contract::{ContractResult, ingress};
use nd_types::Generation;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use support::{Client, Load, Result, app, get, state, until};

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
        trial("access_records_come_from_every_worker_and_wait_for_a_daemon", access_records),
        trial("a_data_plane_that_was_stopped_leaves_nothing", stopped),
        trial("certificates_and_tickets_outlive_every_process", tls::kills),
        trial("no_handshake_fails_in_upgrades_and_restarts_of_the_daemon", tls::replacements),
        trial("keys_are_on_no_disk", tls::secrets),
        trial(
            "a_certificate_that_changes_under_load_costs_no_handshake_and_no_connection",
            tls::certificates,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn trial<F>(name: &str, test: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<()>>,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(async { test().await.map_err(|error| Failed::from(error.to_string())) });
        drop(runtime);
        clean_up();
        ended
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
        processes(&marker(&self.dir), mode)
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

thread_local! {
    /// The markers of the data planes that the test of this thread has started.
    static STARTED: RefCell<Vec<String>> = RefCell::default();
}

/// A test that fails leaves nothing behind either. Whoever starts others anew is gone when nobody is found twice.
fn clean_up() {
    for marker in STARTED.take() {
        while let pids @ [_, ..] = processes(&marker, "proxy").as_slice() {
            for pid in pids {
                kill_process(*pid, Signal::KILL).ok(); // it has ended by itself
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The processes whose argument is this mode, among those with this marker.
fn processes(marker: &str, mode: &str) -> Vec<Pid> {
    let mut pids = Vec::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return pids };
    for process in processes.flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let is_ours = String::from_utf8_lossy(&environment).contains(marker);
        let mut words = command.split(|byte| *byte == 0);
        if is_ours && words.any(|word| word == mode.as_bytes()) {
            let pid = process.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            pids.extend(pid);
        }
    }
    pids
}

fn marker(dir: &TempDir) -> String {
    format!("PLANE={}", dir.path().display())
}

/// Started through `env`, so that the processes of one test are told from those of another.
fn launch(dir: &TempDir) -> Result<Launch> {
    let marker = marker(dir);
    STARTED.with_borrow_mut(|started| started.push(marker.clone()));
    Ok(Launch {
        program: std::env::current_exe()?,
        before: vec!["/usr/bin/env".to_owned(), marker],
        run_dir: dir.path().to_owned(),
        settings: serde_json::json!({"workers": 2}),
        http: vec![([127, 0, 0, 1], 0).into()],
    })
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

async fn access_records() -> Result<()> {
    let (plane, app) = (Plane::start().await?, app("one")?);
    plane.ingress.apply(state(7, app.address)?).await?;
    let http = plane.ingress.http_addr();
    let ask = |count| (0..count).try_for_each(|_| get(http).map(drop));
    ask(20)?;
    let (into, mut batches) = tokio::sync::mpsc::channel(4);
    let (ingress, tasks) = (plane.ingress.clone(), nd_supervise::TaskSet::new("records"));
    tasks.spawn("records", async move { ingress.records(into).await });
    let mut written = 0;
    for expected in [20, 40, 60] {
        while written < expected {
            let batch = tokio::time::timeout(Duration::from_secs(10), batches.recv()).await?;
            written += batch.ok_or("no more records")?.iter().filter(|byte| **byte == b'\n').count();
        }
        assert_eq!(written, expected);
        if expected == 20 {
            ask(20)?;
        }
        if expected == 40 {
            ask(10)?;
            plane.ingress.upgrade(std::env::current_exe()?).await?;
            ask(10)?;
        }
    }
    plane.stop().await;
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
