//! From the words that were typed to an exit code.

use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap_complete::CompleteEnv;

use crate::args::{self, Cli, Command, Global, StatusArgs};
use crate::commands;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::project;
use crate::typed::Typed;

/// The variable by which a completion script asks for candidates.
pub(crate) const COMPLETE: &str = "NEXTDEPLOY_COMPLETE";

/// Runs the command that was typed. `program` is the name it was called by.
#[must_use]
pub fn run(program: &'static str) -> ExitCode {
    let completing = CompleteEnv::with_factory(|| args::command(program)).var(COMPLETE);
    match completing.try_complete(std::env::args_os(), None) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => error.exit(),
    }
    let typed = Typed::new(program);
    let parsed = args::command(program).try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, &typed),
    };
    let Some(command) = cli.command.or_else(|| in_project(&cli.global)) else {
        return help(program);
    };
    let output = Output::new(&cli.global);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(commands::dispatch(&typed, &command, &cli.global, &output)),
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

/// A line that could not be read, or one that asked for help. A program that asked for JSON gets it.
fn misread(error: &clap::Error, typed: &Typed) -> ExitCode {
    if !error.use_stderr() || !typed.asks_for_json() {
        error.exit();
    }
    let text = error.render().to_string();
    let title = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    eprintln!("{}", Failure::usage(title).fix(format!("{} --help", typed.program())).to_json());
    Exit::Usage.into()
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
