//! `eternal` and `daemon`: one command kept running, without a daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nd_eternal::{EternalError, Options, State, Status};
use serde::Serialize;

use super::Outcome;
use crate::args::{DaemonVerb, EternalArgs, EternalFlags, PidFile, in_background};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// What a daemon needs to end in order, which its own shutdown keeps to.
const DAEMON_END: Duration = Duration::from_secs(25);

/// `eternal`: blocks until the command is over, or runs in the background.
pub(crate) fn run(args: &EternalArgs, program: &str, output: &Output) -> Outcome {
    let options =
        here(args.command.clone()).and_then(|options| args.flags.over(options)).map_err(no_place)?;
    if args.detach {
        return start(&options, program, output);
    }
    let code = nd_eternal::run(&options, args.in_background).map_err(|error| failure(&error, program))?;
    Ok(exit_of(code))
}

/// `daemon start|stop|restart|status`.
pub(crate) fn daemon(verb: &DaemonVerb, program: &str, output: &Output) -> Outcome {
    let failed = |error: EternalError| failure(&error, program);
    match verb {
        DaemonVerb::Start { flags, command } => {
            let options = what_to_start(flags, command).map_err(no_place)?;
            start(&options, program, output)
        }
        DaemonVerb::Stop(which) => {
            let pid = nd_eternal::stop(&which.path()?).map_err(failed)?;
            output.result(&format!("stopped: process {pid}"));
            Ok(Exit::Ok)
        }
        DaemonVerb::Restart(which) => {
            let pid_file = which.path()?;
            match (nd_eternal::restart(&pid_file), nd_eternal::remembered(&pid_file)) {
                (Err(EternalError::NotRunning { .. }), Some(options)) => start(&options, program, output),
                (restarted, _) => {
                    let child = restarted.map_err(failed)?;
                    output.result(&format!("restarted: process {child} runs now"));
                    Ok(Exit::Ok)
                }
            }
        }
        DaemonVerb::Status(which) => {
            let state = nd_eternal::status(&which.path()?).map_err(failed)?;
            show(&state, output);
            Ok(if state.pid.is_some() { Exit::Ok } else { Exit::NotFound })
        }
    }
}

fn start(options: &Options, program: &str, output: &Output) -> Outcome {
    let running = nd_eternal::status(&options.pid_file).ok().and_then(|state| state.pid);
    let started = match running {
        Some(pid) => Err(EternalError::Running { pid, pid_file: options.pid_file.clone() }),
        None => nd_eternal::start(options, &in_background(options)),
    };
    let pid = started.map_err(|error| failure(&error, program))?;
    output.result(&format!("started in the background: process {pid}, log {}", options.log_file.display()));
    Ok(Exit::Ok)
}

/// What was typed; else what it was last; else the daemon.
fn what_to_start(flags: &EternalFlags, command: &[String]) -> io::Result<Options> {
    let typed = flags.over(here(command.to_vec())?)?;
    if !command.is_empty() {
        return Ok(typed);
    }
    if let Some(last) = nd_eternal::remembered(&typed.pid_file) {
        return flags.over(last);
    }
    let daemon = std::env::current_exe()?.with_file_name("nextdeployd");
    let daemon = if daemon.is_file() { daemon.display().to_string() } else { "nextdeployd".to_owned() };
    let mut options = here(vec![daemon, "run".to_owned()])?;
    options.kill_timeout = DAEMON_END;
    flags.over(options)
}

fn here(command: Vec<String>) -> io::Result<Options> {
    Ok(Options::new(command, std::env::current_dir()?))
}

impl PidFile {
    fn path(&self) -> Result<PathBuf, Failure> {
        let path = self.pid_file.as_deref().unwrap_or(Path::new("daemon.pid"));
        std::path::absolute(path).map_err(no_place)
    }
}

#[derive(Serialize)]
struct StateView<'a> {
    status: Status,
    pid: Option<u32>,
    child: Option<u32>,
    uptime_ms: u64,
    restarts: u64,
    crashes: u64,
    command: &'a [String],
    log_file: &'a Path,
    pid_file: &'a Path,
}

fn show(state: &State, output: &Output) {
    let State { pid, child, stats, options } = state;
    if output.json {
        let uptime_ms = u64::try_from(stats.uptime.as_millis()).unwrap_or(u64::MAX);
        return output.object(&StateView {
            status: stats.status,
            pid: *pid,
            child: *child,
            uptime_ms,
            restarts: stats.restarts,
            crashes: stats.crashes,
            command: &options.command,
            log_file: &options.log_file,
            pid_file: &options.pid_file,
        });
    }
    let command = options.command.join(" ");
    output.result(&match (pid, child) {
        (Some(pid), Some(child)) => {
            format!("{}: process {pid} keeps {command} (process {child})", stats.status)
        }
        (Some(pid), None) => format!("{}: process {pid} keeps {command}", stats.status),
        (None, _) => format!("{}: nothing runs; it was {command}", stats.status),
    });
    output.result(&stats.to_string());
    output.result(&format!("log: {}", options.log_file.display()));
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn no_place(error: io::Error) -> Failure {
    Failure::failed(format!("find the working directory: {error}"))
}

fn failure(error: &EternalError, program: &str) -> Failure {
    let failure = Failure::new(exit_of(error.exit_code()), error.to_string());
    match error.fix() {
        Some(fix) => failure.fix(format!("{program} {fix}")),
        None => failure,
    }
}

fn exit_of(code: u8) -> Exit {
    match code {
        0 => Exit::Ok,
        2 => Exit::Usage,
        3 => Exit::NotFound,
        _ => Exit::Failed,
    }
}
