//! `save`, `resurrect` and `startup`: what PM2 needs to be told, and this daemon does by itself.

use serde::Serialize;

use super::Outcome;
use crate::args::Command;
use crate::failure::Exit;
use crate::output::Output;

/// What `--json` prints.
#[derive(Serialize)]
struct Unneeded<'a> {
    needed: bool,
    why: &'a str,
}

const SAVE: &str =
    "nothing to save: what is wanted of every app is on disk before the command that asks for it answers";

const RESURRECT: &str = "nothing to resurrect: when the daemon starts, every app that was wanted comes back by itself; \
    `nextdeploy ls` shows them, `nextdeploy start APP` starts one that was stopped";

const STARTUP: &str = "no startup script to make: apps come back with the daemon, and `sudo nextdeployd install` has \
    systemd start the daemon with the machine";

pub(super) fn run(command: &Command, output: &Output) -> Outcome {
    let why = match command {
        Command::Save(_) => SAVE,
        Command::Resurrect(_) => RESURRECT,
        _ => STARTUP,
    };
    if output.json {
        output.object(&Unneeded { needed: false, why });
    } else {
        output.result(why);
    }
    Ok(Exit::Ok)
}
