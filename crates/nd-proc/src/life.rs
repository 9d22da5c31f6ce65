//! Which process it was: a number alone is given to another one after a while, and after a reboot to anybody.

use std::time::Duration;
use std::{fs, io};

use crate::Process;

/// One process, told from every other that had or will have its number on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (proc(5), `starttime`).
    pub started: u64,
    /// Of which boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
}

impl Life {
    /// The process that has this number now.
    ///
    /// # Errors
    /// When there is none, or `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let process = Process::read(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, started: process.started, boot: boot_id()? })
    }

    /// The process, if it still lives: one that waits to be reaped does not.
    #[must_use]
    pub fn now(&self) -> Option<Process> {
        let process = Process::read(self.pid)?;
        let same = process.started == self.started && boot_id().is_ok_and(|boot| boot == self.boot);
        (same && !process.zombie).then_some(process)
    }

    /// How long it has lived by the clock that counts from the boot of the machine; none when it does not live.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let started = Duration::from_millis(self.now()?.started.saturating_mul(1000) / ticks_per_second());
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(started))
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_the_same_number_is_another_one() {
        let own = Life::of(std::process::id()).unwrap();
        assert!(own.now().is_some());
        assert!(Life { started: own.started + 1, ..own.clone() }.now().is_none(), "it started later");
        assert!(Life { boot: "another".to_owned(), ..own }.now().is_none(), "it was before the boot");
    }

    #[test]
    fn an_age_grows_from_the_start_of_the_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let life = Life::of(child.id()).unwrap();
        assert!(life.age().unwrap() < Duration::from_secs(30));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life.age(), None);
    }
}
