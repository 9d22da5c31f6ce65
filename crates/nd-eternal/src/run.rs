//! Eternal mode itself: one thread that sleeps in `poll` and does what the [machine](crate::machine) says.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, set_child_subreaper, setsid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::background;
use crate::child::{self, Group};
use crate::error::EternalError;
use crate::log::Log;
use crate::machine::{Effect, Event, Machine};
use crate::options::Options;
use crate::output::Output;
use crate::record::{Claim, Record};

/// Read from a pipe at once.
const BUFFER: usize = 64 << 10;

/// Keeps the command running until it ends well, crashes too often, or SIGTERM or SIGINT stops it, and answers with the
/// exit code: 0, or 1 when it has given up. In the background nothing but the log says anything.
///
/// Blocks. Call it before any thread is started: signals are taken over.
///
/// # Errors
/// When it runs already, or cannot be started for the first time.
pub fn run(options: &Options, in_background: bool) -> Result<u8, EternalError> {
    let mut eternal = Eternal::prepare(options, in_background)?;
    eternal.first_start()?;
    if in_background {
        background::say_ready().map_err(EternalError::system("leave the terminal"))?;
    }
    eternal.serve()
}

struct Eternal {
    options: Options,
    machine: Machine,
    claim: Claim,
    log: Log,
    signals: Signals,
    group: Option<Group>,
    stdout: Output,
    stderr: Output,
    began: Instant,
    buffer: Vec<u8>,
    end: Option<u8>,
}

impl Eternal {
    /// Everything that can fail, but the command itself.
    fn prepare(options: &Options, in_background: bool) -> Result<Self, EternalError> {
        if in_background {
            // Fails only for one that leads a session already, as when it was started by hand.
            setsid().ok();
        }
        let signals = Signals::new().map_err(EternalError::system("take over signals"))?;
        // Orphans of the command become ours, so that their end is seen.
        set_child_subreaper(Some(getpid()))
            .map_err(|error| EternalError::system("adopt orphans")(error.into()))?;
        let before = Record::read(&options.pid_file);
        let (claim, stale) = Claim::take(options)?;
        let log = Log::open(&options.log_file)
            .map_err(EternalError::system(format!("open the log {}", options.log_file.display())))?;
        let echo = |stream: BorrowedFd<'static>| Output::new((!in_background).then_some(stream));
        let mut eternal = Self {
            machine: Machine::new(options.clone()),
            options: options.clone(),
            claim,
            log,
            signals,
            group: None,
            stdout: echo(rustix::stdio::stdout()),
            stderr: echo(rustix::stdio::stderr()),
            began: Instant::now(),
            buffer: vec![0; BUFFER],
            end: None,
        };
        if let Some(why) = stale {
            eternal.say(&format!("the pid file {} was stale: {why}", options.pid_file.display()));
        }
        if before.is_some_and(|record| record.is_open()) {
            eternal.clean_up_after_another();
        }
        Ok(eternal)
    }

    /// One that was killed itself has left its command running.
    fn clean_up_after_another(&mut self) {
        match child::kill_marked(&self.options.pid_file) {
            Ok(0) => {}
            Ok(count) => self.say(&format!("{count} processes of an earlier run were left and are killed")),
            Err(error) => self.say(&format!("look for what an earlier run has left: {error}")),
        }
    }

    /// A command that cannot be started at all is told to whoever typed it, and not tried again.
    fn first_start(&mut self) -> Result<(), EternalError> {
        let started = self.spawn().inspect_err(|error| {
            self.log.say(&error.to_string());
        });
        if started.is_err() {
            self.claim.update(|record| record.status = crate::Status::Failed).ok();
        }
        started?;
        self.on(Event::Started);
        Ok(())
    }

    fn serve(&mut self) -> Result<u8, EternalError> {
        loop {
            if let Some(code) = self.end {
                return Ok(code);
            }
            self.wait().map_err(EternalError::system("wait for events"))?;
            let mut buffer = std::mem::take(&mut self.buffer);
            self.stdout.advance(&mut buffer, &mut self.log);
            self.stderr.advance(&mut buffer, &mut self.log);
            self.buffer = buffer;
            for event in self.signals.take() {
                self.on(event);
            }
            if let Some((exit, rest)) = self.group.as_mut().and_then(Group::reap) {
                if !rest {
                    self.group = None;
                }
                self.on(Event::Ended { exit, rest });
            }
            self.on(Event::Time);
        }
    }

    /// Does what follows from an event, and what follows from that.
    fn on(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.machine.handle(&event, self.began.elapsed()) {
                events.extend(self.perform(effect));
            }
        }
        let stats = self.machine.stats(self.began.elapsed());
        let child = self.group.as_ref().map(Group::pid);
        let updated = self.claim.update(|record| {
            record.child = child;
            (record.restarts, record.crashes, record.status) = (stats.restarts, stats.crashes, stats.status);
        });
        if let Err(error) = updated {
            self.log.say(&format!("write the record beside the pid file: {error}"));
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Start => {
                self.log.reopen();
                let started = self.spawn();
                if started.is_err() && self.group.is_some() {
                    self.clean();
                }
                return Some(match started {
                    Ok(()) => Event::Started,
                    Err(error) => Event::NotStarted(error.to_string()),
                });
            }
            Effect::Terminate => self.signal(Signal::TERM),
            Effect::Kill => self.signal(Signal::KILL),
            Effect::Clean => self.clean(),
            Effect::Say(text) => self.say(&text),
            Effect::End(code) => self.end = Some(code),
        }
        None
    }

    fn spawn(&mut self) -> Result<(), EternalError> {
        let spawned = child::spawn(&self.options)?;
        let attached = [(&mut self.stdout, spawned.stdout), (&mut self.stderr, spawned.stderr)]
            .into_iter()
            .try_for_each(|(output, pipe)| pipe.map_or(Ok(()), |pipe| output.attach(pipe)));
        self.say(&format!("started process {}: {}", spawned.group.pid(), self.options.command.join(" ")));
        self.group = Some(spawned.group);
        attached.map_err(EternalError::system("read the output of the command"))
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(Err(error)) = self.group.as_ref().map(|group| group.signal(signal)) {
            self.say(&format!("signal the command: {error}"));
        }
    }

    /// Nothing of the old run may meet the next one, and all it has written comes before.
    fn clean(&mut self) {
        self.signal(Signal::KILL);
        if let Err(error) = child::kill_marked(&self.options.pid_file) {
            self.say(&format!("kill what the command has left: {error}"));
        }
        self.group = None;
        let mut buffer = std::mem::take(&mut self.buffer);
        self.stdout.drain(&mut buffer, &mut self.log);
        self.stderr.drain(&mut buffer, &mut self.log);
        self.buffer = buffer;
    }

    fn say(&mut self, text: &str) {
        let line = self.log.say(text);
        self.stderr.say(&line);
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> = self.signals.fds().into();
        fds.extend([&self.stdout, &self.stderr].into_iter().filter_map(Output::awaits));
        let left = self.machine.wake_at().saturating_sub(self.began.elapsed());
        // Rounded up: waking too early would mean waking twice.
        let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Signals, as something that `poll` can wait for.
struct Signals {
    children: UnixStream,
    terminate: UnixStream,
    interrupt: UnixStream,
    hangup: UnixStream,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            children: stream_of(SIGCHLD)?,
            terminate: stream_of(SIGTERM)?,
            interrupt: stream_of(SIGINT)?,
            hangup: stream_of(SIGHUP)?,
        })
    }

    fn fds(&self) -> [PollFd<'_>; 4] {
        [&self.children, &self.terminate, &self.interrupt, &self.hangup]
            .map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN))
    }

    /// What was asked since the last time; ends of children have to be looked for anyway.
    fn take(&self) -> Vec<Event> {
        has_come(&self.children);
        let asked = [
            (&self.terminate, Event::Stop("SIGTERM")),
            (&self.interrupt, Event::Stop("SIGINT")),
            (&self.hangup, Event::Reload),
        ];
        asked.into_iter().filter(|(stream, _)| has_come(stream)).map(|(_, event)| event).collect()
    }
}

fn stream_of(signal: i32) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    pipe::register(signal, write)?;
    Ok(read)
}

fn has_come(mut stream: &UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut come = false;
    while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {
        come = true;
    }
    come
}

impl Drop for Eternal {
    /// On the way out by an error, nothing goes on without a watcher.
    fn drop(&mut self) {
        if self.group.is_some() {
            self.clean();
        }
        io::stdout().flush().ok();
    }
}
