//! Child processes that misbehave: zombies nobody waits for, and sleepers that left the process group.

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use std::{env, io, thread};

/// Sleepers end by themselves after this time, so that a failed test leaves none behind for good.
pub const SLEEP: Duration = Duration::from_secs(3600);

const GONE: &str = "child-that-exits";
const SLEEPER: &str = "child-that-sleeps";

/// Starts `count` children that exit at once; they stay zombies until this process ends.
///
/// # Errors
/// The system's error when a child cannot be started.
pub fn zombies(count: u32) -> io::Result<()> {
    (0..count).try_for_each(|_| start(GONE))
}

/// Starts `count` children that sleep in sessions of their own.
///
/// # Errors
/// The system's error when a child cannot be started.
pub fn sleepers(count: u32) -> io::Result<()> {
    (0..count).try_for_each(|_| start(SLEEPER))
}

/// What a child does that was started with `role` as its only argument.
#[must_use]
pub fn play(role: &str) -> ExitCode {
    match role {
        GONE => ExitCode::SUCCESS,
        SLEEPER => match rustix::process::setsid() {
            Ok(_) => {
                thread::sleep(SLEEP);
                ExitCode::SUCCESS
            }
            Err(_) => ExitCode::FAILURE,
        },
        _ => ExitCode::from(2),
    }
}

fn start(role: &str) -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(role).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Dropped without a wait: that is the fault.
    command.spawn().map(drop)
}
