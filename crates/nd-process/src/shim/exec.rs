//! One command to its end: a shim of its own, that nobody connects to.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nd_types::ExitStatus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{getpid, set_child_subreaper, setsid};

use super::children::{self, Signals};
use super::identity;
use crate::protocol::{self, ExecReport, ExecTask};

/// Output that is kept; the rest is read and forgotten.
const KEEP: usize = 64 << 10;

/// What does not end by SIGKILL within this time hangs in the kernel and is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// Runs the command, then writes the report and its output to standard output. Whatever the command has left behind by
/// then is killed.
///
/// # Errors
/// When the system refuses a pipe, or the report cannot be written.
pub(super) fn run(task: &ExecTask) -> io::Result<()> {
    setsid().ok();
    set_child_subreaper(Some(getpid()))?;
    let signals = Signals::new()?;
    // One pipe for both outputs keeps their order.
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let second = write.try_clone()?;
    let (report, output) = match identity::spawn(&task.launch, write.into(), second.into(), &[]) {
        Ok(child) => follow(task, child.id(), read.into(), &signals)?,
        Err(refusal) => (ExecReport::Refused(refusal), Vec::new()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&protocol::to_line(&report)?)?;
    stdout.write_all(&output)?;
    stdout.flush()
}

fn follow(
    task: &ExecTask,
    main: u32,
    mut pipe: File,
    signals: &Signals,
) -> io::Result<(ExecReport, Vec<u8>)> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    let until = Instant::now() + task.deadline;
    let mut output = Vec::new();
    let mut open = true;
    let report = loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break ExecReport::TimedOut;
        }
        wait(&pipe, open, signals, left)?;
        open = open && read(&mut pipe, &mut output);
        signals.clear_children();
        if let Some(exit) = end_of(main) {
            break ExecReport::Ended(exit);
        }
    };
    read(&mut pipe, &mut output);
    kill_rest(signals)?;
    Ok((report, output))
}

/// Kills until none is left: one that is forked meanwhile shows up as a child of this process.
fn kill_rest(signals: &Signals) -> io::Result<()> {
    let until = Instant::now() + KILL_LIMIT;
    while let left = until.saturating_duration_since(Instant::now())
        && !left.is_zero()
    {
        signals.clear_children();
        if !children::reap().1 {
            break;
        }
        children::kill_all()?;
        poll_for(vec![PollFd::from_borrowed_fd(signals.children(), PollFlags::IN)], left)?;
    }
    Ok(())
}

fn wait(pipe: &File, open: bool, signals: &Signals, left: Duration) -> io::Result<()> {
    let mut fds = vec![PollFd::from_borrowed_fd(signals.children(), PollFlags::IN)];
    if open {
        fds.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
    }
    poll_for(fds, left)
}

fn poll_for(mut fds: Vec<PollFd<'_>>, limit: Duration) -> io::Result<()> {
    match poll(&mut fds, Timespec::try_from(limit).ok().as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// False once the pipe has ended.
fn read(pipe: &mut File, output: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                let room = KEEP.saturating_sub(output.len()).min(count);
                output.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

fn end_of(main: u32) -> Option<ExitStatus> {
    let (ended, _) = children::reap();
    ended.into_iter().find(|child| child.pid == main).map(|child| child.exit)
}
