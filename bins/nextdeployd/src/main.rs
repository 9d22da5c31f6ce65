//! `nextdeployd`: the daemon, and the same commands as `nextdeploy` for who has typed the longer name.
//!
//! One binary, several modes: `run` (also without a subcommand) is the daemon, `shim` stands over one plain process,
//! `install` and `uninstall` place it as a service, and everything else is a client command. This crate only parses, puts the adapters together and runs.
#![allow(clippy::print_stderr, reason = "a daemon that cannot start says so to whoever started it")]

mod access_log;
mod activation;
mod certs;
mod descriptors;
mod fail_point;
mod host;
mod ingress;
mod install;
mod lock;
mod logging;
mod options;
mod paths;
mod program;
mod proxy;
mod run;
mod running;
mod signals;
mod watchdog;
mod wiring;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use options::RunOptions;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match args.get(1) {
        Some(mode) if mode == "shim" => nd_process::shim_main(),
        Some(mode) if mode == "proxy" => {
            proxy::main(args.get(2).and_then(|mode| mode.to_str()).unwrap_or_default())
        }
        Some(mode) if mode == "run" => run_daemon(args.iter().take(1).chain(args.iter().skip(2))),
        Some(mode) if mode == "install" => install::install(args.into_iter().skip(1)),
        Some(mode) if mode == "uninstall" => install::uninstall(args.into_iter().skip(1)),
        _ if means_run(&args) => run_daemon(args.iter()),
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

/// Whether a line without `run` means it: `nextdeployd`, `nextdeployd --dev`, `nextdeployd --env prod`. A line that only
/// begins with a flag of the commands, as `nextdeployd --env prod list` does, is a command.
fn means_run(args: &[OsString]) -> bool {
    let Some(first) = args.get(1).and_then(|first| first.to_str()) else { return args.len() == 1 };
    let Some(flag) = first.strip_prefix("--") else { return false };
    let flag = flag.split('=').next().unwrap_or(flag);
    let run = RunOptions::command();
    let is_its_own = run.get_arguments().any(|arg| arg.get_long() == Some(flag)) && !SHARED.contains(&flag);
    is_its_own || RunOptions::try_parse_from(args).is_ok()
}

/// Flags that the daemon and the commands have, each for something of its own.
const SHARED: [&str; 2] = ["config", "env"];

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(line: &str) -> bool {
        means_run(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_of_the_daemon_alone_mean_run() {
        for line in ["--dev", "--data-dir=/tmp/x --dev", "--env prod", "--config f.toml --listen 127.0.0.1:1"]
        {
            assert!(runs(&format!("nextdeployd {line}")), "{line}");
        }
        // What it does not know is said by the daemon's own help.
        assert!(runs("nextdeployd --dev --typo") && runs("nextdeployd"));
    }

    #[test]
    fn flags_before_a_command_belong_to_the_command() {
        for line in
            ["--host http://h list", "--env prod list", "--json list", "--config f.yml deploy", "--help"]
        {
            assert!(!runs(&format!("nextdeployd {line}")), "{line}");
        }
    }
}
