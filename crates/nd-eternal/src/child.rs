//! The command as processes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nd_types::ExitStatus;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process_group, test_kill_process_group, wait,
};

use crate::error::EternalError;
use crate::options::Options;

/// In the environment of everything the command starts, with the pid file as its value: by it is found what is left when
/// nothing else knows of it any more. What the daemon starts for its own units does not have it: those outlive it.
const MARK: &str = "NEXTDEPLOY_ETERNAL";

/// How long killed processes have to be gone.
const GONE: Duration = Duration::from_secs(2);

/// The command, from its start until its group is gone.
#[derive(Debug)]
pub(crate) struct Group {
    main: Pid,
    exit: Option<ExitStatus>,
}

/// A command that was started, with its outputs.
pub(crate) struct Spawned {
    pub(crate) group: Group,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// Starts the command in a process group of its own, without input.
///
/// # Errors
/// [`EternalError::NotFound`] with where it was searched, or why it cannot be executed.
pub(crate) fn spawn(options: &Options) -> Result<Spawned, EternalError> {
    let (program, arguments) = options.command.split_first().ok_or(EternalError::NoCommand)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&options.cwd).env(MARK, &options.pid_file).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| why_not(program, &options.cwd, &error))?;
    let main = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let main = main
        .ok_or(io::ErrorKind::InvalidData)
        .map_err(|error| why_not(program, &options.cwd, &error.into()))?;
    Ok(Spawned {
        // From here on it is waited for by its number, with all the others.
        group: Group { main, exit: None },
        stdout: child.stdout.take().map(OwnedFd::from),
        stderr: child.stderr.take().map(OwnedFd::from),
    })
}

fn why_not(program: &str, cwd: &Path, error: &io::Error) -> EternalError {
    match error.kind() {
        _ if !cwd.is_dir() => {
            EternalError::NotFound(format!("working directory {} does not exist", cwd.display()))
        }
        io::ErrorKind::NotFound if program.contains('/') => {
            let file = cwd.join(program);
            let why = if file.exists() {
                "the interpreter in its first line, or its loader, is not"
            } else {
                "there is no such file"
            };
            EternalError::NotFound(format!("command `{program}` was not found: {}: {why}", file.display()))
        }
        io::ErrorKind::NotFound => {
            let searched = std::env::var("PATH").unwrap_or_default().replace(':', ", ");
            EternalError::NotFound(format!("command `{program}` was not found in PATH (searched {searched})"))
        }
        _ => EternalError::NotExecutable(format!("command `{program}` cannot be executed: {error}")),
    }
}

impl Group {
    /// The main process.
    pub(crate) fn pid(&self) -> u32 {
        self.main.as_raw_nonzero().get().unsigned_abs()
    }

    /// Takes what has ended; answers how the command itself did, once it has, and whether others of its group are left.
    pub(crate) fn reap(&mut self) -> Option<(ExitStatus, bool)> {
        for (pid, status) in reap_all() {
            if pid == self.main {
                self.exit = Some(exit_status(status));
            }
        }
        self.exit.map(|exit| (exit, test_kill_process_group(self.main).is_ok()))
    }

    /// Sends a signal to the whole group.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match kill_process_group(self.main, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Kills whatever bears the mark of this pid file, and waits until it is gone. Answers how many processes there were.
pub(crate) fn kill_marked(pid_file: &Path) -> io::Result<usize> {
    let mark = format!("{MARK}={}", pid_file.display());
    let until = Instant::now() + GONE;
    let mut killed = 0;
    loop {
        let mut left = nd_proc::bearing(std::slice::from_ref(&mark))?;
        let above = nd_proc::ancestors(std::process::id());
        left.retain(|process| !process.zombie && !above.contains(&process.pid));
        if left.is_empty() || Instant::now() >= until {
            return Ok(killed);
        }
        killed += left.len();
        nd_proc::kill_and_wait(&left, until)?;
        reap_orphans(&left);
    }
}

/// Those of them that have become our own children and have ended.
fn reap_orphans(processes: &[nd_proc::Process]) {
    for pid in processes.iter().filter_map(|process| Pid::from_raw(i32::try_from(process.pid).ok()?)) {
        // No child of ours, or waited for already.
        rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok();
    }
}

/// All children that have ended; orphans of the command are among them.
fn reap_all() -> Vec<(Pid, WaitStatus)> {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return ended,
        }
    }
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    }
}
