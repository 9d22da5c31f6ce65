//! `nextdeployd`: the daemon, and the same commands as `nextdeploy` for who has typed the longer name.
//!
//! One binary, several modes: `run` (also without a subcommand) is the daemon, `shim` stands over one plain process,
//! `install` and `uninstall` place it as a service, and everything else is a client command. This crate only parses, puts the adapters together and runs.
#![allow(clippy::print_stderr, reason = "a daemon that cannot start says so to whoever started it")]

mod activation;
mod fail_point;
mod host;
mod install;
mod lock;
mod logging;
mod options;
mod paths;
mod proxy;
mod run;
mod signals;
mod watchdog;
mod wiring;
mod workers;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::Parser;

use options::RunOptions;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match args.get(1).map(OsString::as_os_str) {
        Some(mode) if mode == "shim" => nd_process::shim_main(),
        Some(mode) if mode == "run" => run_daemon(args.iter().take(1).chain(args.iter().skip(2))),
        Some(mode) if mode == "install" => install::install(args.into_iter().skip(1)),
        Some(mode) if mode == "uninstall" => install::uninstall(args.into_iter().skip(1)),
        first if first.is_none_or(is_daemon_flag) => run_daemon(args.iter()),
        _ => nd_cli::run("nextdeployd"),
    }
}

fn run_daemon<'a>(args: impl Iterator<Item = &'a OsString>) -> ExitCode {
    match run::run(&RunOptions::parse_from(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// `nextdeployd --dev` means `nextdeployd run --dev`.
fn is_daemon_flag(arg: &OsStr) -> bool {
    arg.to_str().is_some_and(|arg| arg.starts_with("--") && !matches!(arg, "--help" | "--version"))
}
