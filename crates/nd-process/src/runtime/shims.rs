//! Talking to shims, and starting them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nd_core::ports::{ExecOutcome, PortErrorKind};
use nd_proc::Signal;
use nd_supervise::blocking;
use nd_types::{ExitStatus, UnitId};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::ShimCommand;
use super::spawn::Start;
use crate::cgroup::{self, Group, Places};
use crate::error::ProcessError;
use crate::files::UnitDir;
use crate::protocol::{
    self, Answer, ExecReport, ExecTask, Launch, RefusalKind, Request, Status, Task, UnitTask,
};
use crate::record::UnitRecord;

/// Time for what a wrapper has left behind to end by itself after a wish to stop.
const LINGER: Duration = Duration::from_secs(5);

/// A shim without a running unit ends after this time: longer than the longest pause between two restarts.
const IDLE: Duration = Duration::from_secs(60);

/// How long a shim has to take a request and to answer it. Executing a program is the longest thing it does, and what
/// is left of a killed unit is given up after half of this time.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long a shim has to say how its unit is: it does nothing for that, and others wait for the answer.
const STATUS_LIMIT: Duration = Duration::from_secs(2);

/// How long a shim has to make a new socket where its own is lost; less than any request may take.
const REBIND_LIMIT: Duration = Duration::from_secs(1);

/// Between two tries, while one shim ends and the next one may not start yet.
const RETRY: Duration = Duration::from_millis(10);

/// The longest answer: the report of an exec, with 64 KiB of output.
const MAX_REPORT: u64 = 256 << 10;

/// All shims of this daemon.
#[derive(Clone, Debug)]
pub(super) struct Shims {
    command: Arc<ShimCommand>,
    /// The directory of all units.
    units: Arc<Path>,
    segment_bytes: u64,
}

impl Shims {
    pub(super) fn new(command: ShimCommand, units: &Path, output_bytes: u64) -> Self {
        let segment_bytes = (output_bytes / 2).max(64 << 10);
        Self { command: Arc::new(command), units: units.into(), segment_bytes }
    }

    /// Connects to the unit's shim and sends it one request; `None` when there is no shim. One whose socket is lost makes a
    /// new one; one that does not is killed.
    async fn open(&self, record: &UnitRecord, request: &Request) -> Result<Option<Watch>, ProcessError> {
        if let Some(watch) = Watch::open(record, request).await? {
            return Ok(Some(watch));
        }
        let until = Instant::now() + REBIND_LIMIT;
        let mut asked = false;
        while self.is_held(record).await? {
            // One that has started since the last try listens by now.
            if let Some(watch) = Watch::open(record, request).await? {
                return Ok(Some(watch));
            }
            let late = Instant::now() >= until;
            if !asked || late {
                asked = self.signal_holder(record, if late { Signal::KILL } else { Signal::USR1 }).await?;
            }
            tokio::time::sleep(RETRY).await;
        }
        Ok(None)
    }

    /// Whether a shim lives, whatever became of its socket.
    async fn is_held(&self, record: &UnitRecord) -> Result<bool, ProcessError> {
        let dir = self.dir(record);
        Ok(blocking("look at a lock", move || dir.is_held()).await?)
    }

    /// Sends a signal to the shim that holds the unit; false when it is not known which process that is.
    async fn signal_holder(&self, record: &UnitRecord, signal: Signal) -> Result<bool, ProcessError> {
        let (dir, unit) = (self.dir(record), record.id.clone());
        let sent = blocking("signal a shim", move || {
            let Some(holder) = dir.holder() else { return Ok(false) };
            tracing::warn!(%unit, shim = holder.pid, ?signal, "the shim's socket is lost");
            nd_proc::send(&holder, signal).map(|()| true)
        });
        sent.await?.map_err(|source| ProcessError::Shim {
            what: "signal the shim",
            unit: record.id.clone(),
            source,
        })
    }

    fn dir(&self, record: &UnitRecord) -> UnitDir {
        UnitDir::new(self.units.join(record.id.as_str()))
    }

    /// Asks the unit's shim; `None` when there is none.
    pub(super) async fn ask(
        &self,
        record: &UnitRecord,
        request: &Request,
    ) -> Result<Option<Status>, ProcessError> {
        let asked = async {
            while let Some(mut connection) = self.open(record, request).await? {
                if let Some(status) = connection.next().await? {
                    return Ok(Some(status));
                }
                // It has ended, or was asked for a new socket while this waited at the old one.
                tokio::time::sleep(RETRY).await;
            }
            Ok(None)
        };
        let limit = if matches!(request, Request::Status) { STATUS_LIMIT } else { ANSWER_LIMIT };
        in_time(limit, "the state", record, asked).await
    }

    /// Every change of the unit, beginning with how it is; `None` when it has no shim.
    pub(super) async fn watch(&self, record: &UnitRecord) -> Result<Option<Watch>, ProcessError> {
        in_time(STATUS_LIMIT, "the state", record, self.open(record, &Request::Watch)).await
    }

    /// Asks the unit's shim, and starts one where there is none.
    pub(super) async fn ask_or_start(
        &self,
        record: &UnitRecord,
        dir: &UnitDir,
        request: &Request,
    ) -> Result<Status, ProcessError> {
        let until = Instant::now() + ANSWER_LIMIT;
        loop {
            if let Some(status) = self.ask(record, request).await? {
                return Ok(status);
            }
            self.kill_strays(record).await?;
            match self.start(record, dir).await {
                // Its predecessor is on its way out.
                Err(ProcessError::Refused { kind: PortErrorKind::Conflict, .. })
                    if Instant::now() < until =>
                {
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {}
            }
            if Instant::now() >= until {
                return Err(ProcessError::Timeout {
                    what: "the start",
                    unit: record.id.clone(),
                    limit: ANSWER_LIMIT,
                });
            }
        }
    }

    /// Ends shim and unit, and waits until both are gone.
    pub(super) async fn end(&self, record: &UnitRecord) -> Result<(), ProcessError> {
        let ended = async {
            if let Some(mut connection) = self.open(record, &Request::Quit).await? {
                while connection.next().await?.is_some() {}
            }
            Ok(())
        };
        in_time(ANSWER_LIMIT, "the end", record, ended).await?;
        self.kill_strays(record).await
    }

    /// Ends a unit whose shim was killed: nothing of it goes on alone, whether or not it is to be started again. Whoever
    /// starts a shim meanwhile waits for that.
    pub(super) async fn kill_strays(&self, record: &UnitRecord) -> Result<(), ProcessError> {
        let (dir, record, id) = (self.dir(record), record.clone(), record.id.clone());
        let killed = blocking("kill strays", move || {
            // Never started: the common case, in which there is nothing to look for.
            if matches!(dir.status(), Ok(None)) {
                return Ok(());
            }
            // Who has a shim is none.
            let Some(_lock) = dir.try_lock()? else { return Ok(()) };
            kill_marked(&record, &dir)?;
            match dir.status() {
                Ok(Some(status)) if status.phase.is_running() => dir.set_status(&status.without_shim()),
                _ => Ok(()),
            }
        });
        match killed.await? {
            // The unit was removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            killed => {
                killed.map_err(|source| ProcessError::Shim { what: "kill what is left", unit: id, source })
            }
        }
    }

    /// Runs a command to its end.
    pub(super) async fn exec(
        &self,
        record: &UnitRecord,
        launch: Launch,
        deadline: Duration,
    ) -> Result<ExecOutcome, ProcessError> {
        let unit = &record.id;
        let program = launch.argv.first().cloned().unwrap_or_default();
        let task = Task::Exec(ExecTask { launch, deadline });
        let failed = |source| ProcessError::Shim { what: "run a command", unit: unit.clone(), source };
        let start = Start { unit, task: &task, socket: &record.socket, log: None };
        let run = async {
            let mut report = Vec::new();
            start.spawn(&self.command).await?.take(MAX_REPORT).read_to_end(&mut report).await?;
            let end = report.iter().position(|byte| *byte == b'\n').ok_or(io::ErrorKind::UnexpectedEof)?;
            let output = report.split_off(end + 1);
            Ok::<_, io::Error>((protocol::from_line::<ExecReport>(&report)?, output))
        };
        // The command's own deadline is the shim's to keep.
        let limit = deadline.saturating_add(ANSWER_LIMIT);
        let (report, output) = timeout(limit, run)
            .await
            .map_err(|_| ProcessError::Timeout { what: "run a command", unit: unit.clone(), limit })?
            .map_err(failed)?;
        match report {
            ExecReport::Ended(exit) => Ok(ExecOutcome { exit, output }),
            ExecReport::TimedOut => {
                Err(ProcessError::ExecTimeout { program, unit: unit.clone(), limit: deadline })
            }
            ExecReport::Refused(refusal) if refusal.kind == RefusalKind::Internal => Err(refusal.into()),
            ExecReport::Refused(refusal) => Ok(not_executed(&refusal.message)),
        }
    }

    /// Starts the unit's shim and waits until it is ready.
    async fn start(&self, record: &UnitRecord, dir: &UnitDir) -> Result<(), ProcessError> {
        let task = Task::Unit(UnitTask {
            unit: record.id.clone(),
            dir: dir.path().to_owned(),
            socket: record.socket.clone(),
            segment_bytes: self.segment_bytes,
            linger: LINGER,
            idle: IDLE,
        });
        let failed = |source| ProcessError::Shim { what: "start the shim", unit: record.id.clone(), source };
        let log = dir.shim_log();
        let start = Start { unit: &record.id, task: &task, socket: &record.socket, log: Some(&log) };
        let started = async {
            let mut answer = Vec::new();
            BufReader::new(start.spawn(&self.command).await?)
                .take(MAX_REPORT)
                .read_until(b'\n', &mut answer)
                .await?;
            match answer.is_empty() {
                true => Err(io::Error::other(format!(
                    "it ended and said nothing but what is in {}",
                    log.display()
                ))),
                false => protocol::from_line::<Answer>(&answer),
            }
        };
        let answer = timeout(ANSWER_LIMIT, started)
            .await
            .map_err(|_| ProcessError::Timeout {
                what: "the start",
                unit: record.id.clone(),
                limit: ANSWER_LIMIT,
            })?
            .map_err(failed)?;
        match answer {
            Answer::Status(_) => Ok(()),
            Answer::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// Kills all that bears the marks of the unit.
fn kill_marked(record: &UnitRecord, dir: &UnitDir) -> io::Result<()> {
    let marks: Vec<String> = record.marks().map(|(name, value)| format!("{name}={value}")).into();
    let group = (!record.limits.is_none())
        .then(|| Group::left_by(&Places::find(), &cgroup::name(&record.id, dir.path())));
    let until = Instant::now() + ANSWER_LIMIT;
    loop {
        let mut left = nd_proc::marked(&marks)?;
        left.retain(|process| !process.zombie);
        if left.is_empty() || Instant::now() >= until {
            group.iter().for_each(Group::remove);
            return Ok(());
        }
        tracing::warn!(unit = %record.id, processes = left.len(), "the unit outlived its shim and is killed");
        group.iter().for_each(Group::kill);
        nd_proc::kill_and_wait(&left, until)?;
    }
}

/// A connection to a shim, and what comes out of it.
#[derive(Debug)]
pub(super) struct Watch {
    unit: UnitId,
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl Watch {
    /// Connects and sends one request; `None` when nobody listens.
    async fn open(record: &UnitRecord, request: &Request) -> Result<Option<Self>, ProcessError> {
        let unit = record.id.clone();
        let failed = |source| ProcessError::Shim { what: "ask the shim", unit: unit.clone(), source };
        let mut stream = match UnixStream::connect(&record.socket).await {
            Ok(stream) => stream,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let line = protocol::to_line(request).map_err(failed)?;
        match stream.write_all(&line).await {
            Ok(()) => Ok(Some(Self { unit, stream: BufReader::new(stream), line: Vec::new() })),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The next status; `None` when the shim has gone. Waits without a limit. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Status>, ProcessError> {
        let failed =
            |unit: &UnitId, source| ProcessError::Shim { what: "ask the shim", unit: unit.clone(), source };
        match self.stream.read_until(b'\n', &mut self.line).await {
            Ok(_) if !self.line.ends_with(b"\n") => return Ok(None),
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(failed(&self.unit, error)),
        }
        let answer = protocol::from_line(&self.line);
        self.line.clear();
        match answer.map_err(|error| failed(&self.unit, error))? {
            Answer::Status(status) => Ok(Some(status)),
            Answer::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// What a command gets that cannot be executed: the exit code of a shell for one that does not exist.
pub(super) fn not_executed(message: &str) -> ExecOutcome {
    ExecOutcome { exit: ExitStatus::Code(127), output: message.as_bytes().to_vec() }
}

/// How a socket looks whose shim has ended, before, while or after it was talked to.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe)
}

async fn in_time<T>(
    limit: Duration,
    what: &'static str,
    record: &UnitRecord,
    future: impl Future<Output = Result<T, ProcessError>>,
) -> Result<T, ProcessError> {
    match timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(ProcessError::Timeout { what, unit: record.id.clone(), limit }),
    }
}
