//! Load over kept-alive connections, every answer checked: nothing lost, truncated, or from the wrong version.

mod clients;
mod http2;
mod streams;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Result;
use crate::http::{Answer, Connection, Target};

/// How long an answer may pause. Far above what a swap may hold a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two tries to connect where nobody listens.
const RETRY: Duration = Duration::from_millis(50);

/// More failures than this are counted and no longer described.
const DESCRIBED: usize = 50;

/// What the load has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were begun, downloads and WebSockets included.
    pub sent: u64,
    /// Those without their whole and right answer.
    pub failed: u64,
}

/// Clients that go on until they are told to stop.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    host: String,
    stop: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
    closed_1012: AtomicU64,
    /// What a server closes when its routes change, where that is no failure.
    closures: Option<Closures>,
    allowed: Mutex<Arc<BTreeSet<String>>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Closures {
    /// Idle connections under way to a request.
    idle: AtomicU64,
    /// Connections that the kernel had opened, reset before anybody took them.
    untaken: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    /// Which release each instance said it runs.
    instances: HashMap<String, String>,
    /// When each release first answered.
    first: HashMap<String, Instant>,
    failures: Vec<String>,
}

impl Load {
    /// Begins without any client; answers may come from the releases in `allowed` alone.
    #[must_use]
    pub fn new(target: &Target, host: &str, allowed: &[&str]) -> Self {
        Self::with(target, host, allowed, None)
    }

    /// The same in front of a server that closes its listeners and the idle connections of clients when its routes change. A
    /// request that meets such a closure is counted apart, as is one on a new connection that is reset while two releases are
    /// allowed; and what lasts has a connection of its own each time.
    #[must_use]
    pub fn forgiving_closures(target: &Target, host: &str, allowed: &[&str]) -> Self {
        Self::with(target, host, allowed, Some(Closures::default()))
    }

    fn with(target: &Target, host: &str, allowed: &[&str], closures: Option<Closures>) -> Self {
        let shared = Shared {
            target: target.clone(),
            host: host.to_owned(),
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            closed_1012: AtomicU64::new(0),
            closures,
            allowed: Mutex::new(Arc::new(names(allowed))),
            seen: Mutex::new(Seen::default()),
        };
        Self { shared: Arc::new(shared), threads: Vec::new() }
    }

    /// Adds clients that ask for `/` on one connection each, with `pause` between answer and next request.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn requests(&mut self, clients: usize, pause: Duration) -> Result {
        self.add("request", clients, move |shared| shared.request_in_a_row(pause))
    }

    /// Adds clients that download two seconds long, again and again.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn downloads(&mut self, clients: usize) -> Result {
        self.add("download", clients, Shared::download)
    }

    /// Adds WebSockets with a message and its echo every 50 ms, which come back after a Close 1012.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn websockets(&mut self, clients: usize) -> Result {
        self.add("websocket", clients, Shared::chat)
    }

    /// Adds clients that upload a second long, again and again on one connection each.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn uploads(&mut self, clients: usize) -> Result {
        self.add("upload", clients, Shared::upload_in_a_row)
    }

    /// Adds clients that read server-sent events for a second, again and again on one connection each.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn event_streams(&mut self, clients: usize) -> Result {
        self.add("events", clients, Shared::events_in_a_row)
    }

    /// Adds connections of HTTP/2 with prior knowledge (RFC 9113, section 3.3), which ask for `/` on several streams at a
    /// time, with `pause` between them.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn http2(&mut self, connections: usize, pause: Duration) -> Result {
        self.add("http2", connections, move |shared| shared.multiplex(pause))
    }

    /// From now on, requests that begin are answered by these releases alone; forgets who has answered first.
    pub fn allow(&self, releases: &[&str]) {
        lock(&self.shared.seen).first.clear();
        *lock(&self.shared.allowed) = Arc::new(names(releases));
    }

    /// What was seen so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        // Failures first: none of a request that is not yet counted.
        let failed = self.shared.failed.load(Ordering::SeqCst);
        Tally { sent: self.shared.sent.load(Ordering::SeqCst), failed }
    }

    /// WebSockets that were closed with 1012 (service restart) so far.
    #[must_use]
    pub fn closed_1012(&self) -> u64 {
        self.shared.closed_1012.load(Ordering::SeqCst)
    }

    /// Requests that met the closure of their idle connection so far, where these are counted apart.
    #[must_use]
    pub fn closed_idle(&self) -> u64 {
        self.shared.closures.as_ref().map_or(0, |closed| closed.idle.load(Ordering::SeqCst))
    }

    /// New connections that were reset before anything arrived on them, where these are counted apart.
    #[must_use]
    pub fn reset_untaken(&self) -> u64 {
        self.shared.closures.as_ref().map_or(0, |closed| closed.untaken.load(Ordering::SeqCst))
    }

    /// When a release first answered since the last [`Load::allow`].
    #[must_use]
    pub fn first_answer(&self, release: &str) -> Option<Instant> {
        lock(&self.shared.seen).first.get(release).copied()
    }

    /// The first failures, described.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        lock(&self.shared.seen).failures.clone()
    }

    /// Stops all clients after their current request.
    #[must_use]
    pub fn stop(mut self) -> Tally {
        self.join();
        self.tally()
    }

    fn add(&mut self, name: &str, clients: usize, work: impl Fn(&Shared) + Clone + Send + 'static) -> Result {
        for _ in 0..clients {
            let (shared, work) = (Arc::clone(&self.shared), work.clone());
            let client = move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    work(&shared);
                }
            };
            self.threads
                .push(thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(client)?);
        }
        Ok(())
    }

    fn join(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shared.fail("a client panicked");
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    /// Counts a request; gives the releases that may answer one that begins now.
    fn begin(&self) -> Arc<BTreeSet<String>> {
        let allowed = Arc::clone(&lock(&self.allowed));
        self.sent.fetch_add(1, Ordering::SeqCst);
        allowed
    }

    /// The server did not take it: somebody who asks again is counted then.
    fn forget(&self) {
        self.sent.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether a request without an answer has met what the server closes when its routes change, where that is counted apart.
    fn forgives(&self, begun: &BTreeSet<String>, connection: &Connection, error: &io::Error) -> bool {
        let Some(closures) = &self.closures else { return false };
        let is_change = begun.len() > 1 || lock(&self.allowed).len() > 1;
        let is_reset = matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
        let count = match () {
            () if connection.was_idle() => &closures.idle,
            () if is_change && is_reset && connection.is_unheard() => &closures.untaken,
            () => return false,
        };
        self.forget();
        count.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn connect(&self) -> Option<Connection> {
        match Connection::open(&self.target, &self.host, PATIENCE) {
            Ok(connection) => Some(connection),
            Err(error) => {
                self.sent.fetch_add(1, Ordering::SeqCst);
                self.refused("connect", &error);
                None
            }
        }
    }

    fn refused(&self, what: &str, error: &io::Error) {
        self.fail(&format!("{what}: {error}"));
        thread::sleep(RETRY);
    }

    fn check(&self, begun: &BTreeSet<String>, answer: &Answer) -> std::result::Result<(), String> {
        if answer.status != 200 {
            return Err(format!(
                "status {}: {}",
                answer.status,
                answer.text().chars().take(200).collect::<String>()
            ));
        }
        self.check_head(begun, answer)
    }

    /// Who answered: an allowed release, and an instance that runs this release alone.
    fn check_head(&self, begun: &BTreeSet<String>, head: &Answer) -> std::result::Result<(), String> {
        let (Some(release), Some(instance)) = (head.header("x-release"), head.header("x-instance")) else {
            return Err("the app did not say who it is".to_owned());
        };
        if !begun.contains(release) && !lock(&self.allowed).contains(release) {
            return Err(format!("answered by release {release}, instance {instance}"));
        }
        let mut seen = lock(&self.seen);
        if !seen.first.contains_key(release) {
            seen.first.insert(release.to_owned(), Instant::now());
        }
        match seen.instances.get(instance) {
            Some(known) if known == release => Ok(()),
            Some(known) => Err(format!("instance {instance} says release {release}, and was {known}")),
            None => {
                seen.instances.insert(instance.to_owned(), release.to_owned());
                Ok(())
            }
        }
    }

    fn fail(&self, why: &str) {
        self.failed.fetch_add(1, Ordering::SeqCst);
        let mut seen = lock(&self.seen);
        if seen.failures.len() < DESCRIBED {
            seen.failures.push(why.to_owned());
        }
    }
}

fn names(releases: &[&str]) -> BTreeSet<String> {
    releases.iter().map(|name| (*name).to_owned()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
