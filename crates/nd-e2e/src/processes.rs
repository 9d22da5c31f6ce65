//! Processes of this machine, as `/proc` shows them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The processes that hold a file of this directory open, the calling one aside.
#[must_use]
pub(crate) fn holding(directory: &Path) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let holds = |pid: &i32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).any(|file| file.starts_with(directory))
    };
    all().into_keys().filter(|pid| *pid != own).filter(holds).collect()
}

/// The processes whose command lines have all these words.
#[must_use]
pub(crate) fn with_words(words: &[&OsStr]) -> Vec<i32> {
    let has_them = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let has = |word: &OsStr| line.split(|byte| *byte == 0).any(|one| one == word.as_encoded_bytes());
        words.iter().all(|word| has(word))
    };
    all().into_keys().filter(has_them).collect()
}

/// The direct children of a process.
#[must_use]
pub fn children_of(parent: i32) -> Vec<i32> {
    all().into_iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid).collect()
}

/// All processes below one, parents before their children.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    let parents = all();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Sends a signal; a process that is gone needs none.
pub fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}

/// Whether a process has ended, reaped or not.
#[must_use]
pub fn has_ended(pid: i32) -> bool {
    stat(pid)
        .and_then(|fields| fields.first().cloned())
        .is_none_or(|state| matches!(state.as_str(), "Z" | "X"))
}

/// The processor time, user and system, that a process has used (proc(5), `stat`).
#[must_use]
pub fn cpu_time(pid: i32) -> Option<Duration> {
    let fields = stat(pid)?;
    let ticks: u64 = [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum();
    // Linux gives it in hundredths of a second to every program, whatever its own tick is.
    Some(Duration::from_millis(ticks * 10))
}

/// The memory that a process keeps resident (proc(5), `status`).
#[must_use]
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Every process and its parent.
fn all() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?))).collect()
}

/// The fields of `stat` after the name, which may contain anything: state first, then the parent.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_a_child_with_memory_and_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let parent = all().remove(&own).unwrap();
        assert!(children_of(parent).contains(&own));
        assert!(descendants(parent).contains(&own));
        assert!(resident_bytes(own).unwrap() > 0);
        assert!(cpu_time(own).is_some());
    }
}
