//! `completion`: a script that makes a shell complete commands, flags, apps and deployments.

use clap_complete::Shell;
use clap_complete::env::Shells;

use super::Outcome;
use crate::args;
use crate::failure::{Exit, Failure};
use crate::run::COMPLETE;

pub(super) fn run(program: &'static str, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    // The daemon's program takes a line without a command for `run`, so that it cannot be asked while one is typed.
    let asks = program == "nextdeploy";
    let shells = Shells::builtins();
    match shells.completer(&shell.to_string()).filter(|_| asks) {
        Some(completer) => completer
            .write_registration(COMPLETE, program, program, program, &mut script)
            .map_err(|error| Failure::failed(format!("write the script: {error}")))?,
        None => clap_complete::generate(shell, &mut args::command(program), program, &mut script),
    }
    print!("{}", String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
