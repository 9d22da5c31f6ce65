//! What daemon and shim say to each other: one JSON value a line, both ways.
//!
//! A shim lives longer than the daemon that started it, so both sides must read what an older or newer one writes:
//! fields are only ever added, and unknown ones are ignored.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nd_types::{ExitStatus, Timestamp, UnitId};
use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// The longest line either side reads: a launch with an environment as large as the kernel takes, escaped.
pub(crate) const MAX_LINE: usize = 8 << 20;

/// What a shim is for; all of its standard input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// To hold one unit for as long as it runs.
    Unit(UnitTask),
    /// To run one command to its end.
    Exec(ExecTask),
}

/// The unit a shim holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnitTask {
    /// Its id.
    pub(crate) unit: UnitId,
    /// Its directory, absolute.
    pub(crate) dir: PathBuf,
    /// Where the shim listens, absolute.
    pub(crate) socket: PathBuf,
    /// A segment of the output spool is closed at this size; two are kept.
    pub(crate) segment_bytes: u64,
    /// What is left of a unit that was asked to stop may run this much longer than its main process.
    pub(crate) linger: Duration,
    /// A shim whose unit has not run for this long ends.
    pub(crate) idle: Duration,
}

/// A command that runs beside a unit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecTask {
    /// The command.
    pub(crate) launch: Launch,
    /// How long it may take.
    pub(crate) deadline: Duration,
}

/// How a command ended, one line before its raw output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecReport {
    /// It ended by itself.
    Ended(ExitStatus),
    /// It was killed at its deadline.
    TimedOut,
    /// It could not be started.
    Refused(Refusal),
}

/// Everything needed to execute a program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// The file to execute, absolute.
    pub(crate) program: PathBuf,
    /// The arguments, with the name it is called by first.
    pub(crate) argv: Vec<String>,
    /// The directory it runs in.
    pub(crate) cwd: PathBuf,
    /// All of its environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Whom it runs as; as the shim itself when absent.
    #[serde(default)]
    pub(crate) identity: Option<Identity>,
    /// What the unit may use at most.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub(crate) limits: Limits,
    /// Whether it is given ways to say that it is ready.
    #[serde(default)]
    pub(crate) wait_ready: bool,
}

/// Whom a program runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, `gid` included.
    pub(crate) groups: Vec<u32>,
}

/// What a client asks of a shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Start the unit, unless it runs. Answered once the program is executed.
    Start(Box<Launch>),
    /// Send this signal to the main process and its group.
    Signal(i32),
    /// Kill every process of the unit.
    Kill,
    /// Say how the unit is.
    Status,
    /// Say how the unit is, now and whenever that changes.
    Watch,
    /// End, killing what runs.
    Quit,
}

/// What a shim answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// How the unit is.
    Status(Status),
    /// Why not.
    Refused(Refusal),
}

/// A request that was not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalKind {
    /// Another shim holds the unit.
    Busy,
    /// The program or its directory is gone.
    NotFound,
    /// The program may not be executed.
    Denied,
    /// It can never work like this.
    Invalid,
    /// Out of processes, files or memory.
    Exhausted,
    /// Anything else, a kind of a newer shim included.
    #[serde(other)]
    Internal,
}

/// How a unit is; also what the state file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The shim's process.
    pub(crate) shim: u32,
    /// How often the unit was started.
    pub(crate) run: u64,
    /// What it does.
    pub(crate) phase: Phase,
}

/// What a unit does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Never started.
    Idle,
    /// It runs, or is being stopped.
    Running {
        pid: u32,
        since: Timestamp,
        /// It said that it is ready.
        #[serde(default)]
        ready: bool,
    },
    /// It has ended, with everything it started.
    Ended { exit: ExitStatus, started: Option<Timestamp>, finished: Option<Timestamp> },
}

impl Phase {
    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

impl Status {
    /// What the status that a shim wrote last means once that shim is gone: a unit that was running then has ended, and
    /// nobody saw how.
    pub(crate) fn without_shim(self) -> Self {
        match self.phase {
            Phase::Running { since, .. } => {
                let phase = Phase::Ended { exit: ExitStatus::Unknown, started: Some(since), finished: None };
                Self { phase, ..self }
            }
            Phase::Idle | Phase::Ended { .. } => self,
        }
    }
}

impl Refusal {
    /// Why a program or a file could not be had, from what the system said.
    pub(crate) fn from_io(what: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => RefusalKind::NotFound,
            io::ErrorKind::PermissionDenied => RefusalKind::Denied,
            io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull | io::ErrorKind::WouldBlock => {
                RefusalKind::Exhausted
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong => RefusalKind::Invalid,
            _ if is_exec_format(error) => {
                let message = format!(
                    "{what}: it is neither a program for this machine nor a script that begins with `#!`"
                );
                return Self { kind: RefusalKind::Invalid, message };
            }
            _ => RefusalKind::Internal,
        };
        Self { kind, message: format!("{what}: {error}") }
    }
}

fn is_exec_format(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::NOEXEC)
}

/// One value as a line.
pub(crate) fn to_line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

/// One line as a value.
pub(crate) fn from_line<T: for<'a> Deserialize<'a>>(line: &[u8]) -> io::Result<T> {
    serde_json::from_slice(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_back_from_its_line() {
        let status = Status {
            shim: 7,
            run: 3,
            phase: Phase::Ended {
                exit: ExitStatus::Signal(9),
                started: None,
                finished: Some("2026-01-02T03:04:05.000000006Z".parse().unwrap()),
            },
        };
        let line = to_line(&status).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(from_line::<Status>(&line).unwrap(), status);
    }

    #[test]
    fn fields_and_kinds_of_a_newer_shim_are_no_reason_to_fail() {
        let answer: Answer = from_line(br#"{"refused":{"kind":"too_hot","message":"m","since":1}}"#).unwrap();
        let Answer::Refused(refusal) = answer else { panic!("not a refusal") };
        assert_eq!(refusal.kind, RefusalKind::Internal);
    }

    #[test]
    fn half_a_task_is_no_task() {
        let task = Task::Exec(ExecTask {
            launch: Launch {
                program: "/bin/true".into(),
                argv: vec!["true".into()],
                cwd: "/".into(),
                env: BTreeMap::new(),
                identity: None,
                limits: Limits::default(),
                wait_ready: false,
            },
            deadline: Duration::from_secs(1),
        });
        let line = to_line(&task).unwrap();
        let whole = line.len() - 1;
        assert!(from_line::<Task>(&line).is_ok());
        for end in 0..whole {
            assert!(from_line::<Task>(line.get(..end).unwrap()).is_err(), "{end} of {whole} bytes");
        }
    }
}
