//! What is asked of an eternal mode that runs, from another process: by its pid file and its signals.

use std::path::Path;
use std::time::{Duration, Instant};

use nd_proc::Signal;

use crate::error::EternalError;
use crate::options::Options;
use crate::record::{Record, pid_in, why_stale};
use crate::stats::{Stats, Status};

/// What an eternal mode has for its own end, above what it gives the command.
const MARGIN: Duration = Duration::from_secs(10);

/// Between two looks at the record.
const LOOK: Duration = Duration::from_millis(20);

/// How an eternal mode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The process that watches, while it lives.
    pub pid: Option<u32>,
    /// The main process of the command, while it runs.
    pub child: Option<u32>,
    /// How it went so far.
    pub stats: Stats,
    /// What is kept running, and how.
    pub options: Options,
}

/// How the eternal mode with this pid file is, or was when it ended.
///
/// # Errors
/// [`EternalError::NotRunning`] when there never was one.
pub fn status(pid_file: &Path) -> Result<State, EternalError> {
    let record = Record::read(pid_file).ok_or_else(|| not_running(pid_file))?;
    let life = record.life();
    let age = life.age();
    let status = match age {
        Some(_) => record.status,
        // It was killed, or the machine went down.
        None if record.is_open() => Status::Failed,
        None => record.status,
    };
    let Record { child, restarts, crashes, options, .. } = record;
    Ok(State {
        pid: age.map(|_| life.pid),
        child: child.filter(|_| age.is_some()),
        stats: Stats { uptime: age.unwrap_or_default(), restarts, crashes, status },
        options,
    })
}

/// What was kept running last with this pid file.
#[must_use]
pub fn remembered(pid_file: &Path) -> Option<Options> {
    Record::read(pid_file).map(|record| record.options)
}

/// Asks it to stop, and waits until it has. Answers which process it was.
///
/// # Errors
/// [`EternalError::NotRunning`]; [`EternalError::TimedOut`] when it does not end.
pub fn stop(pid_file: &Path) -> Result<u32, EternalError> {
    let (record, process) = living(pid_file)?;
    let limit = record.options.kill_timeout + MARGIN;
    nd_proc::send_and_wait(&[process], Signal::TERM, Instant::now() + limit)
        .map_err(EternalError::system("stop it"))?;
    let life = record.life();
    match life.now() {
        None => Ok(life.pid),
        Some(_) => Err(EternalError::TimedOut { pid: life.pid, limit }),
    }
}

/// Asks it to start its command anew, and waits until it has. Answers the new process of the command.
///
/// # Errors
/// As [`stop`].
pub fn restart(pid_file: &Path) -> Result<u32, EternalError> {
    let (before, process) = living(pid_file)?;
    let limit = before.options.kill_timeout + MARGIN;
    let until = Instant::now() + limit;
    nd_proc::send(&process, Signal::HUP).map_err(EternalError::system("restart it"))?;
    while Instant::now() < until {
        let now = Record::read(pid_file).filter(|record| record.restarts > before.restarts);
        if let Some(child) = now.and_then(|record| record.child) {
            return Ok(child);
        }
        living(pid_file)?;
        std::thread::sleep(LOOK);
    }
    Err(EternalError::TimedOut { pid: process.pid, limit })
}

fn living(pid_file: &Path) -> Result<(Record, nd_proc::Process), EternalError> {
    let record = Record::read(pid_file);
    let living = record.and_then(|record| Some((record.life().now()?, record)));
    living.map(|(process, record)| (record, process)).ok_or_else(|| not_running(pid_file))
}

fn not_running(pid_file: &Path) -> EternalError {
    let stale = pid_in(pid_file).map(|pid| format!("it is stale: {}", why_stale(&pid.to_string())));
    EternalError::NotRunning { pid_file: pid_file.to_owned(), stale }
}
