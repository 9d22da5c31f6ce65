//! The holder: a small process that keeps what the data plane must not lose, and a worker running.
//!
//! It has the listening sockets and the last acknowledged state, and hands both to each worker it starts. Blocking code in
//! one thread: it sleeps in one `poll` until a worker says something or is gone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::kept::{Kept, succeed};
use super::link::{self, PEER};
use super::message::{ToHolder, ToWorker};

/// How long a new worker may take until it serves.
pub(super) const START: Duration = Duration::from_secs(10);
/// A worker that ends sooner after its start is started again with pauses.
const STEADY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How much longer than its grace time a worker may take at the end.
const SLACK: Duration = Duration::from_secs(5);
/// The pause between looks at children that have said goodbye and not ended yet.
const REAP: Duration = Duration::from_millis(200);

/// A worker, as the holder sees it.
struct Worker {
    link: UnixStream,
    began: Instant,
}

/// A worker that is to take over.
struct Replacement {
    worker: Worker,
    request: u64,
    grace: Duration,
    /// What the worker now serves with, should the replacement fail.
    before: (PathBuf, Value),
}

enum Flow {
    Go,
    /// Another holder has everything.
    Leave,
}

pub(super) struct Holder {
    kept: Kept,
    socket: PathBuf,
    serving: Option<Worker>,
    replacement: Option<Replacement>,
    retiring: Vec<Worker>,
    children: Vec<Child>,
    pause: Duration,
    start_at: Option<Instant>,
    /// Until when the last worker may finish; nothing is started any more.
    stop_by: Option<Instant>,
}

impl Holder {
    pub(super) fn new(kept: Kept, serving: Option<UnixStream>) -> io::Result<Self> {
        let serving = serving.map(Worker::over).transpose()?;
        Ok(Self {
            start_at: serving.is_none().then(Instant::now),
            socket: kept.socket(),
            kept,
            serving,
            replacement: None,
            retiring: Vec::new(),
            children: Vec::new(),
            pause: FIRST_PAUSE,
            stop_by: None,
        })
    }

    /// Keeps a worker running until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            if self.stop_by.is_some_and(|end| now >= end || self.serving.is_none()) {
                std::fs::remove_file(&self.socket).ok();
                return Ok(());
            }
            if self.stop_by.is_none() && self.serving.is_none() && self.start_at.is_some_and(|at| now >= at) {
                self.start_worker();
            }
            if self.replacement.as_ref().is_some_and(|one| now >= one.worker.began + START) {
                self.give_up_replacement("the new worker did not serve in time");
            }
            self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if let Flow::Leave = self.turn()? {
                return Ok(());
            }
        }
    }

    /// Waits for the next thing to happen and deals with it.
    fn turn(&mut self) -> io::Result<Flow> {
        let replacement = self.replacement.iter().map(|one| &one.worker);
        let workers = self.serving.iter().chain(replacement).chain(&self.retiring);
        let mut watched: Vec<PollFd<'_>> =
            workers.map(|worker| PollFd::new(&worker.link, PollFlags::IN)).collect();
        let timeout = self.timeout().map(|pause| Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        });
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = watched.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>().into_iter();
        let serving = self.serving.is_some() && ready.next().unwrap_or(false);
        let candidate = self.replacement.is_some() && ready.next().unwrap_or(false);
        let mut retired = ready;
        self.retiring
            .retain(|worker| !retired.next().unwrap_or(false) || matches!(worker.receive(), Ok(Some(_))));
        if candidate {
            let flow = self.hear_candidate();
            if let Flow::Leave = flow {
                return Ok(flow);
            }
        }
        if serving {
            self.hear_serving();
        }
        Ok(Flow::Go)
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let starts = self.start_at.filter(|_| self.serving.is_none());
        let gives_up = self.replacement.as_ref().map(|one| one.worker.began + START);
        let reaps = (self.children.len() > usize::from(self.serving.is_some())).then(|| now + REAP);
        let next = [starts, gives_up, self.stop_by, reaps].into_iter().flatten().min();
        next.map(|next| next.saturating_duration_since(now))
    }

    fn start_worker(&mut self) {
        match self.spawn() {
            Ok(worker) => self.serving = Some(worker),
            Err(error) => {
                tracing::error!(%error, "start a proxy worker; trying again");
                self.start_later();
            }
        }
    }

    fn spawn(&mut self) -> io::Result<Worker> {
        let (link, child) = self.kept.hand_to("--worker", None)?;
        self.children.push(child);
        Worker::over(link)
    }

    fn start_later(&mut self) {
        self.start_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    /// The worker that serves has said something, or is gone.
    fn hear_serving(&mut self) {
        let Some(worker) = &self.serving else { return };
        match worker.receive() {
            Ok(Some((message, fds))) => {
                self.obey(message, fds);
            }
            Ok(None) => self.serving_is_gone("it ended"),
            Err(error) => self.serving_is_gone(&error.to_string()),
        }
    }

    fn serving_is_gone(&mut self, why: &str) {
        let was_steady = self.serving.take().is_some_and(|worker| worker.began.elapsed() >= STEADY);
        if self.stop_by.is_some() {
            return;
        }
        tracing::error!("the proxy worker is gone ({why}); starting another one");
        if was_steady {
            self.pause = FIRST_PAUSE;
            self.start_at = Some(Instant::now());
        } else {
            self.start_later();
        }
    }

    fn obey(&mut self, message: ToHolder, fds: Vec<OwnedFd>) {
        match message {
            ToHolder::Serving { tickets } => self.kept.tickets = tickets.or(self.kept.tickets.take()),
            ToHolder::Failed { error } => tracing::error!(%error, "a proxy worker cannot serve"),
            ToHolder::Keep { state } => self.kept.state = Some(state),
            ToHolder::Ports { ports } => {
                let mut fds = fds.into_iter();
                self.kept.ports = ports.iter().map(|count| fds.by_ref().take(*count).collect()).collect();
            }
            ToHolder::Replace { request, program, settings, grace_ms } => {
                self.replace(request, program.into(), settings, Duration::from_millis(grace_ms));
            }
            ToHolder::Stop { grace_ms } => {
                self.stop_by = Some(Instant::now() + Duration::from_millis(grace_ms) + SLACK);
                self.kept.main.clear();
                self.kept.ports.clear();
            }
        }
    }

    fn replace(&mut self, request: u64, program: PathBuf, settings: Value, grace: Duration) {
        if self.replacement.is_some() {
            return self.tell_replaced(request, Some("another worker is being started already".to_owned()));
        }
        let before = (
            std::mem::replace(&mut self.kept.program, program),
            std::mem::replace(&mut self.kept.settings, settings),
        );
        match self.spawn() {
            Ok(worker) => self.replacement = Some(Replacement { worker, request, grace, before }),
            Err(error) => {
                (self.kept.program, self.kept.settings) = before;
                self.tell_replaced(request, Some(error.to_string()));
            }
        }
    }

    fn tell_replaced(&self, request: u64, error: Option<String>) {
        if let Some(worker) = &self.serving {
            worker.tell(&ToWorker::Replaced { request, error });
        }
    }

    fn give_up_replacement(&mut self, why: &str) {
        let Some(Replacement { worker, request, before, .. }) = self.replacement.take() else { return };
        worker.tell(&ToWorker::HandOver { grace_ms: 0 });
        (self.kept.program, self.kept.settings) = before;
        self.tell_replaced(request, Some(why.to_owned()));
    }

    fn hear_candidate(&mut self) -> Flow {
        let Some(candidate) = &self.replacement else { return Flow::Go };
        match candidate.worker.receive() {
            Ok(Some((message @ ToHolder::Serving { .. }, _))) => {
                self.obey(message, Vec::new());
                self.promote()
            }
            Ok(Some((ToHolder::Failed { error }, _))) => {
                self.give_up_replacement(&error);
                Flow::Go
            }
            Ok(Some((message, fds))) => {
                self.obey(message, fds);
                Flow::Go
            }
            Ok(None) => {
                self.give_up_replacement("the new worker ended at once");
                Flow::Go
            }
            Err(error) => {
                self.give_up_replacement(&error.to_string());
                Flow::Go
            }
        }
    }

    /// The candidate serves: the old worker finishes, and a holder of the new version takes over.
    fn promote(&mut self) -> Flow {
        let Some(Replacement { worker, request, grace, .. }) = self.replacement.take() else {
            return Flow::Go;
        };
        let successor = succeed(&self.kept, worker.link.as_fd());
        if let Some(old) = self.serving.replace(worker) {
            let error = successor.as_ref().err();
            let error = error.map(|error| format!("the worker was replaced, its holder was not: {error}"));
            // In this order: whoever hears of the replacement and comes anew finds only the new worker.
            old.tell(&ToWorker::HandOver { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) });
            old.tell(&ToWorker::Replaced { request, error });
            self.retiring.push(old);
        }
        match successor {
            Ok(_) => Flow::Leave,
            Err(error) => {
                tracing::error!(%error, "another holder cannot be started; this one goes on");
                Flow::Go
            }
        }
    }
}

impl Worker {
    fn over(link: UnixStream) -> io::Result<Self> {
        link.set_read_timeout(Some(PEER))?;
        link.set_write_timeout(Some(PEER))?;
        Ok(Self { link, began: Instant::now() })
    }

    fn receive(&self) -> io::Result<Option<(ToHolder, Vec<OwnedFd>)>> {
        link::receive(&self.link)
    }

    fn tell(&self, message: &ToWorker) {
        if let Err(error) = link::send(&self.link, message, &[]) {
            tracing::debug!(%error, "a worker could not be told");
        }
    }
}
