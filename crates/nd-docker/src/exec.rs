//! Commands inside containers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::{ExecConfig, ExecInspectResponse};
use bytes::Bytes;
use hyper::Method;
use nd_core::ports::{ExecOutcome, PortError, PortErrorKind, PortResult};
use nd_types::{ExitStatus, UnitId, format_duration};

use crate::engine::{EngineError, json_request};
use crate::failure::port_error;
use crate::find;
use crate::logs::frames::{Frames, Part};
use crate::runtime::Shared;
use crate::stats::process_belongs_to;

/// How much output is kept.
const OUTPUT_BYTES: usize = 64 * 1024;

/// An engine notes the exit code a moment after the output has ended.
const CODE_POLL: Duration = Duration::from_millis(10);

/// Runs `argv` in the unit's container.
pub(crate) async fn exec(
    shared: &Arc<Shared>,
    unit: &UnitId,
    argv: &[String],
    deadline: Duration,
) -> PortResult<ExecOutcome> {
    let tried = format!("run `{}` in unit {unit}", argv.join(" "));
    let begin = Instant::now();
    let found = find::unit(shared, unit).await?;
    if !found.runs() {
        return Err(PortError::new(PortErrorKind::Conflict, format!("{tried}: the unit does not run")));
    }
    run_to_end(shared, &found.id, argv, deadline.saturating_sub(begin.elapsed()), &tried).await
}

/// Runs `argv` in a container that runs.
pub(crate) async fn run_in(
    shared: &Arc<Shared>,
    container: &str,
    argv: &[String],
    deadline: Duration,
) -> PortResult<ExecOutcome> {
    let tried = format!("run `{}` in container {container}", argv.join(" "));
    run_to_end(shared, container, argv, deadline, &tried).await
}

async fn run_to_end(
    shared: &Arc<Shared>,
    container: &str,
    argv: &[String],
    deadline: Duration,
    tried: &str,
) -> PortResult<ExecOutcome> {
    let begin = Instant::now();
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(argv.to_vec()),
        ..ExecConfig::default()
    };
    let created = shared.engine.call(async |docker| docker.create_exec(container, config).await).await;
    let id = created.map_err(|error| port_error(tried, error))?.id;
    let left = deadline.saturating_sub(begin.elapsed());
    let Ok(ran) = tokio::time::timeout(left, run(shared, &id)).await else {
        kill(shared, container, &id).await;
        let context = format!("{tried}: not done after {}", format_duration(deadline));
        return Err(PortError::new(PortErrorKind::Timeout, context));
    };
    let outcome = ran.map_err(|error| port_error(tried, error))?;
    if let Some(error) = never_ran(tried, &outcome) {
        return Err(error);
    }
    Ok(outcome)
}

async fn run(shared: &Arc<Shared>, id: &str) -> Result<ExecOutcome, EngineError> {
    let body = Bytes::from_static(br#"{"Detach":false,"Tty":false}"#);
    let mut body =
        shared.engine.open(json_request(Method::POST, &format!("/exec/{id}/start"), body)?).await?;
    let (mut frames, mut output) = (Frames::default(), Vec::new());
    while let Some(chunk) = body.chunk().await? {
        let fed = frames.feed(&chunk, |part| {
            if let Part::Data(data) = part {
                let room = OUTPUT_BYTES.saturating_sub(output.len());
                output.extend(data.iter().take(room));
            }
        });
        fed.map_err(|unframed| EngineError::Garbled(unframed.to_string()))?;
    }
    loop {
        let state = inspect(shared, id).await?;
        if state.running != Some(true) {
            let exit =
                state.exit_code.map_or(ExitStatus::Unknown, |code| ExitStatus::from_engine_code(code, false));
            return Ok(ExecOutcome { exit, output });
        }
        tokio::time::sleep(CODE_POLL).await;
    }
}

async fn inspect(shared: &Arc<Shared>, id: &str) -> Result<ExecInspectResponse, EngineError> {
    shared.engine.call(async |docker| docker.inspect_exec(id).await).await
}

/// Engines tell about a missing command by status 400, older ones by the output of a command that ended with 126.
fn never_ran(tried: &str, outcome: &ExecOutcome) -> Option<PortError> {
    let refused = matches!(outcome.exit, ExitStatus::Code(126 | 127))
        && outcome.output.starts_with(b"OCI runtime exec failed");
    refused.then(|| {
        let message = String::from_utf8_lossy(&outcome.output).into_owned();
        port_error(tried, EngineError::Refused { status: 400, message })
    })
}

/// An engine cannot end a command that it runs in a container; we can where it is a process of this machine.
async fn kill(shared: &Arc<Shared>, container: &str, id: &str) {
    let state = inspect(shared, id).await.ok().filter(|state| state.running == Some(true));
    let local = shared.engine.session().await.is_ok_and(|session| session.local);
    let pid = state.and_then(|state| state.pid).filter(|pid| local && *pid > 1);
    let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else { return };
    let container = container.to_owned();
    let killed = nd_supervise::blocking("kill command", move || {
        if let Some(process) = rustix::process::Pid::from_raw(pid)
            && process_belongs_to(pid.unsigned_abs(), &container)
            && let Err(error) = rustix::process::kill_process(process, rustix::process::Signal::KILL)
        {
            tracing::warn!(pid, %error, "a command that took too long cannot be ended");
        }
    });
    if let Err(failure) = killed.await {
        tracing::warn!(pid, %failure, "a command that took too long was not ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_command_is_told_from_one_that_failed() {
        let outcome =
            |code, output: &str| ExecOutcome { exit: ExitStatus::Code(code), output: output.into() };
        let words = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nope\": \
                     executable file not found in $PATH: unknown\r\n";
        assert_eq!(
            never_ran("run", &outcome(126, words)).map(|error| error.kind),
            Some(PortErrorKind::NotFound)
        );
        assert!(never_ran("run", &outcome(126, "permission denied")).is_none());
        assert!(never_ran("run", &outcome(0, words)).is_none());
    }
}
