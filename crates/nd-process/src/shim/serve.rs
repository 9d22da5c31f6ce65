//! The loop of the shim: one `poll` over signals, output and clients.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nd_core::ports::OutputStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::umask;
use signal_hook::consts::SIGTERM;

use super::app::App;
use super::children::Signals;
use super::clients::{Client, MAX_CLIENTS};
use super::note;
use super::ready::Source;
use crate::files::create_private_dir;
use crate::protocol::{Answer, Request, Status};

/// Taken over from an output pipe at once: as much as a pipe holds.
const BUFFER: usize = 64 << 10;

/// A shim that is ready to serve.
#[derive(Debug)]
pub(super) struct Shim {
    app: App,
    signals: Signals,
    listener: UnixListener,
    socket: PathBuf,
    clients: Vec<Client>,
    /// What the watching clients were told last.
    told: Status,
    /// Ends as soon as the unit does not run.
    quitting: bool,
    idle: Duration,
    idle_since: Instant,
}

/// What `poll` found.
#[derive(Clone, Copy, Debug)]
enum Event {
    Children,
    End,
    Rebind,
    Connection,
    Output(OutputStream),
    Ready(Source),
    Client(usize),
}

impl Shim {
    /// A shim that listens at `socket`.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub(super) fn new(app: App, signals: Signals, socket: &Path, idle: Duration) -> io::Result<Self> {
        let listener = bind(socket)?;
        let told = app.status().clone();
        let (socket, idle_since) = (socket.to_owned(), Instant::now());
        Ok(Self {
            app,
            signals,
            listener,
            socket,
            clients: Vec::new(),
            told,
            quitting: false,
            idle,
            idle_since,
        })
    }

    pub(super) fn status(&self) -> &Status {
        self.app.status()
    }

    /// Serves until it was asked to quit, or until the unit has not run for a while.
    ///
    /// # Errors
    /// When the system refuses to poll.
    pub(super) fn serve(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            for event in self.wait()? {
                self.handle(event, &mut buffer);
            }
            self.app.pass_time(Instant::now());
            self.tell();
            if self.app.status().phase.is_running() {
                self.idle_since = Instant::now();
            } else if self.quitting || self.idle_since.elapsed() >= self.idle {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, event: Event, buffer: &mut [u8]) {
        match event {
            Event::Children => {
                self.signals.clear_children();
                self.app.reap();
            }
            Event::End => {
                self.signals.clear_end();
                self.end();
            }
            Event::Rebind => {
                self.signals.clear_rebind();
                match bind(&self.socket) {
                    Ok(listener) => {
                        // Whoever waits at the old socket is not sent away.
                        let waiting = std::iter::from_fn(|| Client::accept(&self.listener));
                        self.clients.extend(waiting.take(MAX_CLIENTS));
                        self.listener = listener;
                    }
                    Err(error) => note(&format!("listen at {} again: {error}", self.socket.display())),
                }
            }
            Event::Connection => self.clients.extend(Client::accept(&self.listener)),
            Event::Output(stream) => self.app.read(stream, buffer),
            Event::Ready(source) => self.app.hear(source),
            Event::Client(index) => self.serve_client(index),
        }
    }

    /// The host shuts down, or somebody ends the shim by hand: the unit goes with it, the second time at once.
    fn end(&mut self) {
        if self.quitting {
            self.app.kill();
        } else {
            self.quitting = true;
            self.app.signal(SIGTERM).ok();
        }
    }

    fn serve_client(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else { return };
        let requests = client.flush().and_then(|()| client.requests());
        let served = requests.and_then(|requests| {
            for request in requests {
                let answer = self.answer(&request);
                let Some(client) = self.clients.get_mut(index) else { break };
                client.watching |= matches!(request, Request::Watch);
                client.send(&answer)?;
            }
            Ok(())
        });
        if served.is_err() {
            self.clients.remove(index);
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let done = match request {
            Request::Start(launch) => self.app.start(launch),
            Request::Signal(number) => self.app.signal(*number),
            Request::Kill => {
                self.app.kill();
                Ok(())
            }
            Request::Quit => {
                self.quitting = true;
                self.app.kill();
                Ok(())
            }
            Request::Status | Request::Watch => Ok(()),
        };
        match done {
            Ok(()) => Answer::Status(self.app.status().clone()),
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    /// Tells the watching clients what has changed.
    fn tell(&mut self) {
        if self.told == *self.app.status() {
            return;
        }
        self.told = self.app.status().clone();
        let answer = Answer::Status(self.told.clone());
        self.clients.retain_mut(|client| !client.watching || client.send(&answer).is_ok());
    }

    /// What has happened. Clients come last and from the highest index down, so that dropping one leaves the indices
    /// of those that follow.
    fn wait(&self) -> io::Result<Vec<Event>> {
        let mut watched = Vec::with_capacity(8 + self.clients.len());
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            watched.extend(self.app.pipe(stream).map(|pipe| readable(Event::Output(stream), pipe)));
        }
        watched.extend(self.app.ears().map(|(source, fd)| readable(Event::Ready(source), fd)));
        watched.push(readable(Event::Children, self.signals.children()));
        watched.push(readable(Event::End, self.signals.end()));
        watched.push(readable(Event::Rebind, self.signals.rebind()));
        for (index, client) in self.clients.iter().enumerate().rev() {
            let flags = if client.has_unsent() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            watched.push((Event::Client(index), PollFd::from_borrowed_fd(client.as_fd(), flags)));
        }
        if self.clients.len() < MAX_CLIENTS {
            watched.push(readable(Event::Connection, self.listener.as_fd()));
        }
        let (events, mut fds): (Vec<_>, Vec<_>) = watched.into_iter().unzip();
        match poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        Ok(events
            .into_iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(event, _)| event)
            .collect())
    }

    fn timeout(&self) -> Option<Timespec> {
        let until = match self.app.status().phase.is_running() {
            true => self.app.deadline()?,
            false => self.idle_since + self.idle,
        };
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up: waking too early would mean waking twice.
        Timespec::try_from(left + Duration::from_millis(1)).ok()
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent()
        && !parent.exists()
    {
        create_private_dir(parent)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Born private: between bind and chmod anybody could connect.
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn readable(event: Event, fd: BorrowedFd<'_>) -> (Event, PollFd<'_>) {
    (event, PollFd::from_borrowed_fd(fd, PollFlags::IN))
}
