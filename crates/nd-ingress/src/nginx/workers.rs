//! nginx's processes, as Linux shows them: a master whose workers carry their state in their title.

use std::fs;
use std::path::Path;

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worker {
    pid: u32,
}

/// What the title of a worker that leaves ends with.
const LEAVING: &str = "is shutting down";

impl Worker {
    /// Whether it still answers somebody.
    pub(super) fn is_there(&self) -> bool {
        title(self.pid).is_some_and(|title| title.contains("nginx"))
    }

    /// Whether it takes no new connection: it leaves, or is gone.
    pub(super) fn accepts_nothing(&self) -> bool {
        title(self.pid).is_none_or(|title| !title.contains("nginx") || title.contains(LEAVING))
    }
}

/// The master, if it runs.
pub(super) fn master(pid_file: &Path) -> Option<u32> {
    let pid = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    title(pid).filter(|title| title.contains("nginx")).map(|_| pid)
}

/// The workers of a master.
pub(super) fn of(master: u32) -> Vec<Worker> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(master)).map(|pid| Worker { pid }).collect()
}

/// The fourth field, after a name in parentheses that may hold anything (proc(5)).
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Its command line; nothing of one that is gone, or has ended and waits for its parent.
fn title(pid: u32) -> Option<String> {
    let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let title = String::from_utf8_lossy(&title).trim_end_matches('\0').to_owned();
    Some(title).filter(|title| !title.is_empty())
}
