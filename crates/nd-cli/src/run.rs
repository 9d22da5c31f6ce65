//! From the words that were typed to an exit code.

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{self, Cli};
use crate::commands;
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command that was typed. `program` is the name it was called by.
#[must_use]
pub fn run(program: &'static str) -> ExitCode {
    let matches = args::command(program).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let output = Output::new(&cli.global);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(commands::dispatch(program, cli, &output)),
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
