//! The unit itself: start, signals, output, end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nd_core::ports::OutputStream;
use nd_types::{ExitStatus, Timestamp};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, kill_process_group, prlimit};

use super::output::Output;
use super::ready::{Ears, Mouth, Source};
use super::{children, identity, note};
use crate::cgroup::{self, Group, Places};
use crate::files::{UnitDir, create_private_dir};
use crate::limits::Limits;
use crate::protocol::{Launch, Phase, Refusal, RefusalKind, Status, UnitTask};
use crate::spool::SpoolWriter;

/// A killed process that is still there after this time hangs in the kernel; the unit counts as ended without it.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// One unit, with its processes and its output.
///
/// The unit ends with its main process. What is left of its tree then is killed at once after a crash; after a wish to
/// stop it is asked to stop too and gets `linger` first, since a worker may still finish what a wrapper has left.
#[derive(Debug)]
pub(super) struct App {
    dir: UnitDir,
    status: Status,
    spool: SpoolWriter,
    stdout: Option<Output>,
    stderr: Option<Output>,
    /// Where it may say that it is ready, if it is waited for.
    ears: Option<Ears>,
    linger: Duration,
    end: End,
    /// Its name among the control groups.
    group_name: String,
    /// Where there are limits, and the host has control groups for them.
    group: Option<Group>,
}

/// How far the end of a running unit has come.
#[derive(Debug, Default)]
struct End {
    /// Somebody asked it to stop.
    asked: bool,
    /// The main process has ended.
    exit: Option<ExitStatus>,
    /// What is left is killed then.
    linger_until: Option<Instant>,
    /// What is left is being killed, and given up then.
    kill_until: Option<Instant>,
}

impl App {
    /// The unit as its last shim left it.
    pub(super) fn new(task: &UnitTask, dir: UnitDir) -> io::Result<Self> {
        let shim = std::process::id();
        let last = dir.status().unwrap_or_else(|error| {
            note(&format!("the last status is lost: {error}"));
            None
        });
        let status = match last {
            // Where its shim died under it, whoever started this one has killed what was left.
            Some(last) => Status { shim, ..last.without_shim() },
            None => Status { shim, run: 0, phase: Phase::Idle },
        };
        create_private_dir(&dir.output())?;
        let spool = SpoolWriter::open(&dir.output(), task.segment_bytes)?;
        let app = Self {
            group_name: cgroup::name(&task.unit, dir.path()),
            dir,
            status,
            spool,
            stdout: None,
            stderr: None,
            ears: None,
            linger: task.linger,
            end: End::default(),
            group: None,
        };
        app.record();
        Ok(app)
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// Starts the unit; one that runs is left alone.
    pub(super) fn start(&mut self, launch: &Launch) -> Result<(), Refusal> {
        if self.status.phase.is_running() {
            return Ok(());
        }
        let mut child = self.spawn(launch)?;
        // From here on the process is waited for by its number, with all the others.
        self.stdout = child.stdout.take().map(|pipe| Output::new(pipe.into(), OutputStream::Stdout));
        self.stderr = child.stderr.take().map(|pipe| Output::new(pipe.into(), OutputStream::Stderr));
        self.end = End::default();
        self.status.run += 1;
        self.status.phase = Phase::Running { pid: child.id(), since: Timestamp::now(), ready: false };
        self.record();
        Ok(())
    }

    /// Starts the program within its limits: those of the whole unit by control groups, and of each process what is left.
    fn spawn(&mut self, launch: &Launch) -> Result<Child, Refusal> {
        let refused = |error| Refusal::from_io("prepare to hear that the unit is ready", &error);
        let (ears, mouth) = Ears::open(launch).map_err(refused)?.unzip();
        self.ears = ears;
        let further = mouth.as_ref().map(Mouth::variables).unwrap_or_default();
        let start = || identity::spawn(launch, Stdio::piped(), Stdio::piped(), &further);
        if launch.limits.is_none() {
            return start();
        }
        let places = Places::find();
        let refused = |error| Refusal::from_io("limit the unit", &error);
        let group = Group::make(&places, &self.group_name, &launch.limits).map_err(refused)?;
        let started = group.within(start).map_err(refused).flatten();
        match &started {
            Ok(child) if !places.lacking(&launch.limits).is_empty() => {
                limit_each(child, &launch.limits, &places);
            }
            Ok(_) => {}
            Err(_) => group.remove(),
        }
        self.group = started.is_ok().then_some(group);
        started
    }

    /// Sends a signal to the main process and its group, as a wish to stop.
    pub(super) fn signal(&mut self, number: i32) -> Result<(), Refusal> {
        let signal = Signal::from_named_raw(number).ok_or_else(|| Refusal {
            kind: RefusalKind::Invalid,
            message: format!("send signal {number}: there is no such signal"),
        })?;
        if let Some(main) = self.main() {
            self.end.asked = true;
            match kill_process_group(main, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(Refusal::from_io(&format!("send signal {number}"), &error.into())),
            }
        }
        Ok(())
    }

    /// Kills every process of the unit.
    pub(super) fn kill(&mut self) {
        if self.status.phase.is_running() {
            self.end.kill_until.get_or_insert_with(|| Instant::now() + KILL_LIMIT);
            self.end.linger_until = None;
            self.kill_all();
        }
    }

    /// Waits for children that have ended; the unit may have ended with them.
    pub(super) fn reap(&mut self) {
        let (ended, any_left) = children::reap();
        let Phase::Running { pid: main, .. } = self.status.phase else { return };
        if self.end.exit.is_none()
            && let Some(main) = ended.iter().find(|child| child.pid == main)
        {
            self.end.exit = Some(main.exit);
            if any_left && self.end.asked && self.end.kill_until.is_none() {
                self.end.linger_until = Some(Instant::now() + self.linger);
                terminate_all();
            } else if any_left {
                self.kill();
            }
        } else if any_left && self.end.kill_until.is_some() {
            self.kill_all();
        }
        if let Some(exit) = self.end.exit
            && !any_left
        {
            self.finish(exit);
        }
    }

    /// When [`App::pass_time`] has something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.end.kill_until.or(self.end.linger_until)
    }

    /// Does what is due.
    pub(super) fn pass_time(&mut self, now: Instant) {
        if self.end.linger_until.is_some_and(|until| now >= until) {
            self.kill();
        } else if self.end.kill_until.is_some_and(|until| now >= until) {
            note("a killed process does not end; the unit counts as ended without it");
            self.finish(self.end.exit.unwrap_or(ExitStatus::Unknown));
        }
    }

    /// What the unit may say that it is ready by.
    pub(super) fn ears(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        self.ears.iter().flat_map(Ears::sources)
    }

    /// Takes what was said there.
    pub(super) fn hear(&mut self, source: Source) {
        let heard = self.ears.as_mut().is_some_and(|ears| ears.hear(source));
        if let (true, Phase::Running { ready: ready @ false, .. }) = (heard, &mut self.status.phase) {
            *ready = true;
            self.record();
        }
    }

    /// The pipe of one output, while it is open.
    pub(super) fn pipe(&self, stream: OutputStream) -> Option<BorrowedFd<'_>> {
        match stream {
            OutputStream::Stdout => self.stdout.as_ref(),
            OutputStream::Stderr => self.stderr.as_ref(),
        }
        .map(AsFd::as_fd)
    }

    /// Takes over what lies in one pipe.
    pub(super) fn read(&mut self, stream: OutputStream, buffer: &mut [u8]) {
        let output = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        if output.as_mut().is_some_and(|output| output.read(buffer, &mut self.spool).is_end()) {
            *output = None;
        }
        self.spool.flush();
    }

    /// Whoever learns of the end finds all the output on disk.
    fn finish(&mut self, exit: ExitStatus) {
        for mut output in [self.stdout.take(), self.stderr.take()].into_iter().flatten() {
            output.drain(&mut self.spool);
        }
        self.spool.flush();
        let exit = self.told_by_its_group(exit);
        self.end = End::default();
        self.ears = None;
        if let Phase::Running { since, .. } = self.status.phase {
            self.status.phase = Phase::Ended { exit, started: Some(since), finished: Some(Timestamp::now()) };
        }
        self.record();
    }

    /// A process that the kernel killed for memory takes the unit along in many ways; the group knows the cause.
    fn told_by_its_group(&mut self, exit: ExitStatus) -> ExitStatus {
        let Some(group) = self.group.take() else { return exit };
        let out_of_memory = group.ran_out_of_memory() && !exit.is_success() && !self.end.asked;
        group.remove();
        if out_of_memory { ExitStatus::OutOfMemory } else { exit }
    }

    fn kill_all(&self) {
        if let Some(group) = &self.group {
            group.kill();
        }
        // The kernel signals a group as a whole: what forks in there cannot outrun it.
        if let Some(main) = self.main() {
            kill_process_group(main, Signal::KILL).ok(); // all are killed one by one as well
        }
        if let Err(error) = children::kill_all() {
            note(&format!("kill the processes of the unit: {error}"));
        }
    }

    fn main(&self) -> Option<Pid> {
        match self.status.phase {
            Phase::Running { pid, .. } if self.end.exit.is_none() => Pid::from_raw(i32::try_from(pid).ok()?),
            _ => None,
        }
    }

    /// A disk that is full must not stop the unit; the daemon asks the shim first anyway.
    fn record(&self) {
        if let Err(error) = self.dir.set_status(&self.status) {
            note(&format!("record the status of the unit: {error}"));
        }
    }
}

/// Without a control group, the kernel counts memory for each process by itself, and that is all there is.
fn limit_each(child: &Child, limits: &Limits, places: &Places) {
    let lacks_memory = places.lacking(limits).contains(&cgroup::Controller::Memory);
    let (Some(bytes), true) = (limits.memory_bytes, lacks_memory) else { return };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    if let Err(error) = prlimit(pid, Resource::Data, limit) {
        note(&format!("limit the memory of the unit: {error}"));
    }
}

/// Asks everything that is left to stop, sessions of their own included.
fn terminate_all() {
    let left = nd_proc::descendants(std::process::id()).unwrap_or_default();
    for pid in left.iter().filter_map(|process| Pid::from_raw(i32::try_from(process.pid).ok()?)) {
        // One that has ended meanwhile needs no signal.
        kill_process(pid, Signal::TERM).ok();
    }
}
