//! TLS while processes come and go: the same certificates, tickets that are still good, and no handshake that fails.

#![allow(clippy::print_stdout, reason = "what was counted is to be quoted: --nocapture")]

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nd_core::ports::Ingress;
use nd_ingress::ProcessIngress;
use nd_supervise::{TaskHandle, TaskSet};
use nd_testkit::free_address;
use nd_types::Certificate;
use parking_lot::Mutex;
use rustix::process::Pid;

use super::support::{App, Result, app, until};
use super::visitors::{Authority, BREATH, Visitor, get_h2, leaf, secure};
use super::{Plane, launch};

/// A data plane that speaks TLS.
struct Secure {
    plane: Plane,
    app: App,
    address: SocketAddr,
    authority: Authority,
    certificate: Arc<Certificate>,
    visitor: Visitor,
}

impl Secure {
    async fn start() -> Result<Self> {
        let (plane, app, address) = (Plane::start().await?, app("one")?, free_address()?);
        let authority = Authority::new()?;
        let (certificate, visitor) = (authority.certificate()?, Visitor::new(&authority)?);
        let applied = plane.ingress.apply(secure(7, app.address, address, &certificate)?).await?;
        assert!(applied.faults.is_empty(), "{:?}", applied.faults);
        Ok(Self { plane, app, address, authority, certificate, visitor })
    }

    /// Connects, asks once, and says whether the handshake was spared.
    async fn visit(&self) -> Result<bool> {
        let mut visit = self.visitor.connect(self.address).await?;
        visit.get().await?;
        let shown = visit.is_resumed() || visit.leaf() == leaf(&self.certificate)?;
        if shown { Ok(visit.is_resumed()) } else { Err("another certificate".into()) }
    }
}

/// Both processes are killed in turn, with no daemon to help: certificates and tickets stay what they were.
pub(crate) async fn kills() -> Result<()> {
    let secure = Secure::start().await?;
    assert!(!secure.visit().await?, "the first one has no ticket");
    secure.plane.ingress.leave().await;
    for round in 0..3 {
        secure.plane.kill("--worker").await?;
        let killed = Instant::now();
        assert!(secure.visit().await?, "its ticket is good with the next worker");
        println!("worker killed: TLS served again after {:?}", killed.elapsed());
        let mut other = secure.visitor.forgetful().connect(secure.address).await?;
        assert_eq!(other.leaf(), leaf(&secure.certificate)?);
        other.get().await?;
        if round == 1 {
            let holder = if secure.plane.pids("--hold").is_empty() { "--adopt" } else { "--hold" };
            secure.plane.kill(holder).await?;
            // It holds as many sockets as the worker listens on, and two more: of the daemon and of the worker.
            until("another holder", || secure.plane.pids("--adopt").iter().any(|pid| sockets(*pid) >= 6))
                .await?;
        }
    }
    let (next, _) = ProcessIngress::start(launch(&secure.plane.dir)?).await?;
    next.stop(Duration::ZERO).await;
    Ok(())
}

/// How many sockets a process has.
fn sockets(pid: Pid) -> usize {
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) else { return 0 };
    let targets = open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Handshakes, full ones and spared ones, and connections that stay, while everything is replaced.
pub(crate) async fn replacements() -> Result<()> {
    let secure = Secure::start().await?;
    let clients = Clients::on(&secure)?;
    let mut ingress = secure.plane.ingress.clone();
    for round in 0..3 {
        clients.go_on().await?;
        assert!(round == 0 || secure.visit().await?, "a ticket of before is good");
        secure.visit().await?;
        ingress.upgrade(std::env::current_exe()?).await?;
        assert!(secure.visit().await?, "a ticket of before the upgrade is good after it");
        clients.go_on().await?;
        ingress.leave().await;
        ingress = ProcessIngress::start(launch(&secure.plane.dir)?).await?.0;
        assert!(secure.visit().await?, "another daemon");
    }
    clients.go_on().await?;
    let [full, spared, kept] = clients.end().await?;
    println!(
        "3 upgrades, 3 restarts of the daemon: {full} full handshakes, {spared} resumed, {kept} requests; 0 failed"
    );
    ingress.stop(Duration::ZERO).await;
    Ok(())
}

/// Clients that never stop, of three kinds: who shakes hands anew, who comes with a ticket, and who stays.
struct Clients {
    over: Arc<AtomicBool>,
    done: [Arc<AtomicU64>; 3],
    tasks: Vec<TaskHandle<Result<(), String>>>,
    _set: TaskSet,
}

impl Clients {
    fn on(secure: &Secure) -> Result<Self> {
        let (set, over) = (TaskSet::new("visitors"), Arc::new(AtomicBool::new(false)));
        let done: [Arc<AtomicU64>; 3] = Default::default();
        let mut tasks = Vec::new();
        for number in 0..9 {
            let kind = number % 3;
            let (over, address) = (Arc::clone(&over), secure.address);
            let Some(done) = done.get(kind).cloned() else { continue };
            let visitor =
                if kind == 0 { secure.visitor.forgetful() } else { Visitor::new(&secure.authority)? };
            tasks.push(set.spawn_with("visitor", async move {
                let client = async {
                    let mut visit = visitor.connect(address).await?;
                    while !over.load(Ordering::SeqCst) {
                        let goes_on = visit.get().await?;
                        done.fetch_add(1, Ordering::SeqCst);
                        if kind != 2 || !goes_on {
                            visit = visitor.connect(address).await?;
                        }
                        tokio::time::sleep(BREATH).await;
                    }
                    Result::Ok(())
                };
                client
                    .await
                    .map_err(|error: Box<dyn std::error::Error>| format!("client of kind {kind}: {error}"))
            }));
        }
        Ok(Self { over, done, tasks, _set: set })
    }

    fn counts(&self) -> [u64; 3] {
        self.done.each_ref().map(|count| count.load(Ordering::SeqCst))
    }

    async fn go_on(&self) -> Result<()> {
        let before = self.counts();
        let all = || self.counts().iter().zip(before).all(|(now, before)| *now > before + 20);
        let is_over = || self.tasks.iter().any(TaskHandle::is_finished);
        until("the visitors go on", || all() || is_over()).await
    }

    async fn end(self) -> Result<[u64; 3]> {
        self.over.store(true, Ordering::SeqCst);
        let counts = self.counts();
        for task in self.tasks {
            task.await??;
        }
        Ok(counts)
    }
}

/// Nothing of a key is on any disk, nor where other users could look.
pub(crate) async fn secrets() -> Result<()> {
    let secure = Secure::start().await?;
    secure.visit().await?;
    secure.plane.ingress.upgrade(std::env::current_exe()?).await?;
    let key = secure.certificate.key.expose();
    let line = key.lines().nth(1).ok_or("a key without content")?;
    for entry in fs::read_dir(secure.plane.dir.path())? {
        let entry = entry?;
        let mode = entry.metadata()?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} is private", entry.path());
        if entry.file_type()?.is_file() {
            let text = fs::read(entry.path())?;
            assert!(!String::from_utf8_lossy(&text).contains(line), "{:?}", entry.path());
        }
    }
    until("the old ones have ended", || secure.plane.pids("proxy").len() == 2).await?;
    for pid in secure.plane.pids("proxy") {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero()))?;
            assert!(!String::from_utf8_lossy(&text).contains(line), "{file}");
        }
        for fd in fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))?.flatten() {
            let target = fs::read_link(fd.path()).unwrap_or_default();
            let name = target.display().to_string();
            let is_file = name.starts_with('/') && !name.starts_with("/dev/") && !name.starts_with("/proc/");
            assert!(!is_file || !fs::read(&target).is_ok_and(|text| contains(&text, line)), "{name}");
        }
    }
    secure.plane.stop().await;
    Ok(())
}

fn contains(bytes: &[u8], line: &str) -> bool {
    bytes.windows(line.len()).any(|window| window == line.as_bytes())
}

/// Connections of the test that changes certificates: half of them speak HTTP/2.
const KEPT: usize = 64;
const CHANGES: u64 = 20;

/// The certificate is replaced again and again under load: see the counts that are printed.
pub(crate) async fn certificates() -> Result<()> {
    let secure_plane = Secure::start().await?;
    let Secure { plane, app, address, authority, certificate, visitor } = &secure_plane;
    let changes = Arc::new(Changes::default());
    changes.known.lock().insert(leaf(certificate)?, 0);
    let (set, frames) = (TaskSet::new("visitors"), TaskSet::new("frames"));
    let mut tasks = Vec::new();
    for number in 0..KEPT {
        let (changes, visitor, address, frames) =
            (Arc::clone(&changes), visitor.clone(), *address, frames.clone());
        changes.answers.lock().push(0);
        tasks.push(set.spawn_with("kept connection", async move {
            let kept = changes.keep(number, &visitor, address, &frames).await;
            kept.map_err(|error| format!("kept connection {number}: {error}"))
        }));
    }
    for _ in 0..4 {
        let (changes, visitor, address) = (Arc::clone(&changes), visitor.forgetful(), *address);
        tasks.push(set.spawn_with("newcomer", async move {
            changes.shake(&visitor, address).await.map_err(|error| format!("a new handshake: {error}"))
        }));
    }
    let is_over = || tasks.iter().any(TaskHandle::is_finished);
    for change in 1..=CHANGES {
        let renewed = authority.certificate()?;
        changes.known.lock().insert(leaf(&renewed)?, change);
        plane.ingress.apply(secure(7 + change, app.address, *address, &renewed)?).await?;
        changes.acknowledged.store(change, Ordering::SeqCst);
        let (before, shaken) = (changes.answers.lock().clone(), changes.shaken.load(Ordering::SeqCst));
        let all = || changes.answers.lock().iter().zip(&before).all(|(now, before)| now > before);
        let more = || changes.shaken.load(Ordering::SeqCst) >= shaken + 16;
        until("everybody goes on", || all() && more() || is_over()).await?;
    }
    changes.over.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await??;
    }
    let answers: u64 = changes.answers.lock().iter().sum();
    let (shaken, failed) =
        (changes.shaken.load(Ordering::SeqCst), plane.ingress.stats().await.failed_handshakes);
    println!(
        "{CHANGES} certificates, {KEPT} kept connections (half HTTP/2): {answers} answers, 0 closed; \
         {shaken} new full handshakes, {failed} failed, 0 with a certificate of before the acknowledgement"
    );
    assert_eq!(failed, 0);
    secure_plane.plane.stop().await;
    Ok(())
}

/// What clients see of changes.
#[derive(Default)]
struct Changes {
    /// Which change a certificate came with.
    known: Mutex<HashMap<Vec<u8>, u64>>,
    acknowledged: AtomicU64,
    /// Of each kept connection.
    answers: Mutex<Vec<u64>>,
    shaken: AtomicUsize,
    over: AtomicBool,
}

impl Changes {
    /// Asks over one connection for as long as it goes.
    async fn keep(
        &self,
        number: usize,
        visitor: &Visitor,
        address: SocketAddr,
        frames: &TaskSet,
    ) -> Result<()> {
        let (mut http1, mut http2) = (None, None);
        if number.is_multiple_of(2) {
            http1 = Some(visitor.connect(address).await?);
        } else {
            http2 = Some(visitor.connect_h2(address, frames).await?);
        }
        while !self.over.load(Ordering::SeqCst) {
            let stays = match (&mut http1, &http2) {
                (Some(visit), _) => visit.get().await?,
                (None, Some(requests)) => get_h2(requests).await.map(|()| true)?,
                (None, None) => false,
            };
            if !stays {
                return Err("it is to be closed".into());
            }
            if let Some(answers) = self.answers.lock().get_mut(number) {
                *answers += 1;
            }
            tokio::time::sleep(BREATH * 5).await;
        }
        Ok(())
    }

    /// Shakes hands anew, again and again: what was acknowledged before a handshake began, it must see.
    async fn shake(&self, visitor: &Visitor, address: SocketAddr) -> Result<()> {
        while !self.over.load(Ordering::SeqCst) {
            let least = self.acknowledged.load(Ordering::SeqCst);
            let mut visit = visitor.connect(address).await?;
            let shown = self.known.lock().get(&visit.leaf()).copied();
            if visit.is_resumed() || shown.is_none_or(|shown| shown < least) {
                return Err(format!("certificate {shown:?} after {least} was acknowledged").into());
            }
            visit.get().await?;
            self.shaken.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}
