//! Starting eternal mode in the background: this program again, in a session of its own, told apart by nobody but itself.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::EternalError;
use crate::options::Options;

/// What the one in the background says once the command runs; all else that it says is why it does not.
const READY: &str = "ready";

/// Starts this program again with `arguments`, which must lead to [`run`](crate::run) in the background with these
/// options, and waits until the command runs. Answers the process that watches.
///
/// # Errors
/// What the one in the background said when it could not start.
pub fn start(options: &Options, arguments: &[OsString]) -> Result<u32, EternalError> {
    let failed = || EternalError::system("start in the background");
    let program = std::env::current_exe().map_err(failed())?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed()(error.into()))?;
    let second = write.try_clone().map_err(failed())?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&options.cwd).stdin(Stdio::null()).stdout(write).stderr(second);
    let mut child = command.spawn().map_err(failed())?;
    // Its ends of the pipe must be the only ones, or the end of the child would not be seen.
    drop(command);
    let mut said = BufReader::new(std::fs::File::from(read));
    let mut line = String::new();
    said.read_line(&mut line).map_err(failed())?;
    if line.trim_end() == READY {
        return Ok(child.id());
    }
    said.read_to_string(&mut line).map_err(failed())?;
    let code = child.wait().map_err(failed())?.code().and_then(|code| u8::try_from(code).ok());
    let message = line.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Err(EternalError::Background { message, code: code.filter(|code| *code != 0).unwrap_or(1) })
}

/// Says that the command runs, and lets go of whoever started this.
pub(crate) fn say_ready() -> io::Result<()> {
    writeln!(io::stdout(), "{READY}")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
