//! The shim: `nextdeployd shim`, one small process for each unit that runs.
//!
//! It holds what must outlive the daemon: the unit's process tree (as child subreaper), its output pipes, its exit
//! code. It reads its task from standard input, and starts nothing when that ends too early; it takes the unit's lock
//! before it executes anything, so that a unit has one shim; and it says on standard output that it is ready, or why
//! not. From then on clients talk to it over its socket ([`protocol`](crate::protocol)).
//!
//! Blocking code in one thread, without the async runtime: it sleeps in one `poll` and costs about a megabyte.

mod app;
mod children;
mod clients;
mod exec;
mod identity;
mod inherited;
mod output;
mod ready;
mod serve;

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use rustix::fs::Mode;
use rustix::process::{getpid, set_child_subreaper, setsid, umask};

use crate::files::UnitDir;
use crate::protocol::{self, Answer, Refusal, RefusalKind, Task, UnitTask};
use app::App;
use children::Signals;
use serve::Shim;

/// `EX_DATAERR` of sysexits.h: standard input held no whole task.
const BAD_TASK: u8 = 65;
/// `EX_OSERR`: the system refused something.
const OS_ERROR: u8 = 71;
/// `EX_TEMPFAIL`: another shim holds the unit.
const BUSY: u8 = 75;

/// The whole mode `nextdeployd shim`: call it first thing in `main`, before any thread is started.
#[must_use]
pub fn shim_main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn io(what: &str, error: &io::Error) -> Self {
        Self { code: OS_ERROR, message: format!("{what}: {error}") }
    }
}

fn run() -> Result<(), Failure> {
    inherited::close().map_err(|error| Failure::io("close inherited files", &error))?;
    let task = read_task().map_err(|error| Failure {
        code: BAD_TASK,
        message: format!("read the task from standard input: {error}; nothing was started"),
    })?;
    // Apps get what they would get from a login shell; the shim's own files name their mode.
    umask(Mode::from_raw_mode(0o022));
    match task {
        Task::Unit(task) => hold_unit(&task),
        Task::Exec(task) => exec::run(&task).map_err(|error| Failure::io("run the command", &error)),
    }
}

fn read_task() -> io::Result<Task> {
    let mut bytes = Vec::new();
    io::stdin().take(protocol::MAX_LINE as u64).read_to_end(&mut bytes)?;
    protocol::from_line(&bytes)
}

/// Prepares everything that can fail, says that it is ready, and serves.
fn hold_unit(task: &UnitTask) -> Result<(), Failure> {
    let dir = UnitDir::new(task.dir.clone());
    let lock = match dir.try_lock() {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            let message = format!("unit {} is held by another shim", task.unit);
            return Err(refuse(BUSY, RefusalKind::Busy, message));
        }
        Err(error) => {
            let message = format!("lock {}: {error}", dir.lock().display());
            return Err(refuse(OS_ERROR, RefusalKind::Internal, message));
        }
    };
    let shim = prepare(task, dir).map_err(|error| {
        let refusal = Refusal::from_io(&format!("prepare the shim of {}", task.unit), &error);
        refuse(OS_ERROR, refusal.kind, refusal.message)
    })?;
    say(&Answer::Status(shim.status().clone()))
        .map_err(|error| Failure::io("say that it is ready", &error))?;
    // Whoever started this shim may end before it.
    let null = File::options().read(true).write(true).open("/dev/null");
    null.and_then(|null| {
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(())
    })
    .map_err(|error| Failure::io("detach from the daemon", &error))?;

    let served = shim.serve();
    // Before the lock: the next shim binds the same path.
    std::fs::remove_file(&task.socket).ok();
    drop(lock);
    served.map_err(|error| Failure::io(&format!("hold unit {}", task.unit), &error))
}

fn prepare(task: &UnitTask, dir: UnitDir) -> io::Result<Shim> {
    // Fails only for one that leads a group already, as when it was started by hand.
    setsid().ok();
    set_child_subreaper(Some(getpid()))?;
    std::env::set_current_dir("/")?;
    rustix::thread::set_name(c"nd-shim")?;
    let signals = Signals::new()?;
    let app = App::new(task, dir)?;
    Shim::new(app, signals, &task.socket, task.idle)
}

fn refuse(code: u8, kind: RefusalKind, message: String) -> Failure {
    // Nobody there to read it: the exit code and the log say it too.
    say(&Answer::Refused(Refusal { kind, message: message.clone() })).ok();
    Failure { code, message }
}

fn say(answer: &Answer) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(&protocol::to_line(answer)?)?;
    stdout.flush()
}

/// Standard error is the unit's `shim.log`; there is nobody to tell when that fails.
fn note(message: &str) {
    let at = nd_types::Timestamp::now();
    writeln!(io::stderr(), "{at} {message}").ok();
}
