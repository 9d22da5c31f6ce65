//! From the words that were typed to an exit code.

use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{self, Cli, Command, Global, StatusArgs};
use crate::commands;
use crate::failure::Failure;
use crate::output::Output;
use crate::project;

/// Runs the command that was typed. `program` is the name it was called by.
#[must_use]
pub fn run(program: &'static str) -> ExitCode {
    let matches = args::command(program).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let Some(command) = cli.command.or_else(|| in_project(&cli.global)) else {
        return help(program);
    };
    let output = Output::new(&cli.global);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(commands::dispatch(program, &command, &cli.global, &output)),
        Err(error) => Err(Failure::failed(format!("start the runtime: {error}"))),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Without a command the app of this directory is shown; it is never deployed by accident.
fn in_project(global: &Global) -> Option<Command> {
    project::find(global.config.as_deref(), Path::new(""))?;
    Some(Command::Status(StatusArgs::default()))
}

fn help(program: &'static str) -> ExitCode {
    // A reader that went away (`| head`) is no mistake of ours.
    args::command(program).print_help().ok();
    ExitCode::SUCCESS
}
