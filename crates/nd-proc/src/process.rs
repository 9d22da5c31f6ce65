//! Looking for processes, and killing exactly those that were found.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::time::Instant;
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::stat::Process;

/// All processes that can be seen now. One that ends meanwhile is left out.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        processes.extend(pid.and_then(Process::read));
    }
    Ok(processes)
}

/// Every process below `root`, itself not included.
///
/// Complete for a child subreaper: what loses its parent becomes the subreaper's own child.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn descendants(root: u32) -> io::Result<Vec<Process>> {
    let all = all()?;
    let below = below(&HashSet::from([root]), &all);
    Ok(all.into_iter().filter(|process| below.contains(&process.pid)).collect())
}

/// Every process whose environment holds all of `marks` (each as `NAME=value`), and everything below such a process.
///
/// Sees what the caller may see: its own user's processes, all of them for root.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn marked(marks: &[String]) -> io::Result<Vec<Process>> {
    let all = all()?;
    let own = std::process::id();
    let roots: HashSet<u32> = bearing_of(&all, marks).map(|process| process.pid).collect();
    if roots.is_empty() {
        return Ok(Vec::new());
    }
    let below = below(&roots, &all);
    let found = |process: &Process| roots.contains(&process.pid) || below.contains(&process.pid);
    Ok(all.into_iter().filter(|process| found(process) && process.pid != own).collect())
}

/// Every process whose environment holds all of `marks`, and nothing else: what such a process has started without them
/// is not among them.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn bearing(marks: &[String]) -> io::Result<Vec<Process>> {
    let all = all()?;
    Ok(bearing_of(&all, marks).cloned().collect())
}

/// The parents of a process, up to the first one.
#[must_use]
pub fn ancestors(pid: u32) -> HashSet<u32> {
    let mut found = HashSet::new();
    let mut next = pid;
    while let Some(parent) = Process::read(next).map(|process| process.parent)
        && found.insert(parent)
    {
        next = parent;
    }
    found
}

/// Sends SIGKILL to exactly this process, not to one that got its number later.
///
/// # Errors
/// When it may not be killed; one that is gone already is no error.
pub fn kill(process: &Process) -> io::Result<()> {
    send(process, Signal::KILL)
}

/// Sends a signal to exactly this process, not to one that got its number later.
///
/// # Errors
/// When it may not be sent to it; a process that is gone already is no error.
pub fn send(process: &Process, signal: Signal) -> io::Result<()> {
    let Some(pid) = raw(process.pid) else { return Ok(()) };
    let sent = match pidfd_open(pid, PidfdFlags::empty()) {
        // The descriptor holds on to whoever has the number now: look once more who that is.
        Ok(pidfd) => match Process::read(process.pid) {
            Some(now) if now.started == process.started => pidfd_send_signal(pidfd, signal),
            _ => return Ok(()),
        },
        // Linux before 5.3.
        Err(Errno::NOSYS) => kill_process(pid, signal),
        Err(error) => Err(error),
    };
    match sent {
        Err(Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Kills these processes and waits until they are gone, at most until `until`.
///
/// # Errors
/// When one may not be killed.
pub fn kill_and_wait(processes: &[Process], until: Instant) -> io::Result<()> {
    send_and_wait(processes, Signal::KILL, until)
}

/// Sends these processes a signal and waits until they are gone, at most until `until`.
///
/// # Errors
/// When it may not be sent to one of them.
pub fn send_and_wait(processes: &[Process], signal: Signal, until: Instant) -> io::Result<()> {
    let ends: Vec<OwnedFd> = processes
        .iter()
        .filter_map(|process| pidfd_open(raw(process.pid)?, PidfdFlags::empty()).ok())
        .collect();
    processes.iter().try_for_each(|process| send(process, signal))?;
    for end in &ends {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(end, PollFlags::IN)], timeout.as_ref()))?;
    }
    Ok(())
}

/// Everything below `root`, by way of the lists of children that the kernel keeps: cheap, since it only looks at the
/// tree itself, but a process that starts or ends meanwhile may hide another one. For looking, not for killing.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn glance(root: u32) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        match children(parent) {
            Ok(children) => {
                found.extend(children.iter().filter_map(|pid| Process::read(*pid)));
                open.extend(children);
            }
            // A kernel without CONFIG_PROC_CHILDREN.
            Err(_) if parent == root => return descendants(root),
            Err(_) => {}
        }
    }
    Ok(found)
}

fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(thread?.path().join("children"))?;
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn bearing_of<'a>(all: &'a [Process], marks: &'a [String]) -> impl Iterator<Item = &'a Process> {
    let own = std::process::id();
    all.iter().filter(move |process| process.pid != own && bears(process.pid, marks))
}

fn bears(pid: u32, marks: &[String]) -> bool {
    let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    marks.iter().all(|mark| environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
}

fn below(roots: &HashSet<u32>, all: &[Process]) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut found = HashSet::new();
    let mut open: Vec<u32> = roots.iter().copied().collect();
    while let Some(parent) = open.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn process(pid: u32, parent: u32) -> Process {
        Process { pid, parent, ..Process::default() }
    }

    #[test]
    fn the_tree_of_a_process_is_found_whatever_the_order() {
        let all = [process(5, 4), process(2, 1), process(4, 2), process(3, 1), process(6, 3)];
        assert_eq!(below(&HashSet::from([2]), &all), HashSet::from([4, 5]));
        assert_eq!(below(&HashSet::from([7]), &all), HashSet::new());
    }

    #[test]
    fn a_glance_finds_what_a_full_look_finds() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let glance = glance(std::process::id()).unwrap();
        assert!(glance.iter().any(|process| process.pid == child.id()));
        assert!(descendants(std::process::id()).unwrap().iter().any(|process| process.pid == child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_marked_process_is_found_by_its_environment_and_can_be_killed() {
        let mark = format!("ND_PROCESS_TEST=mark-{}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut child =
            Command::new("sleep").arg("60").env(name, value).stdin(Stdio::null()).spawn().unwrap();
        // A child whose program is not executed yet still has this process's environment.
        let begin = std::time::Instant::now();
        let found = loop {
            let found = marked(std::slice::from_ref(&mark)).unwrap();
            if !found.is_empty() || begin.elapsed().as_secs() > 5 {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [child.id()]);
        kill_and_wait(&found, begin + std::time::Duration::from_secs(10)).unwrap();
        assert!(!child.wait().unwrap().success());
        // Gone already: nobody is hit.
        found.iter().for_each(|process| kill(process).unwrap());
    }
}
