//! The project's own tools: `cargo xtask <verb>`, one file for each verb.
//!
//! Nothing here is part of the product: its crates are built, checked and run from outside.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to whoever typed them")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod demo;
mod fuzz;
mod pm2;
mod process;
mod test;
mod testapp;
mod tidy;
mod units;
mod workspace;

/// What goes wrong here is told to a person, and handled by nobody.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tools", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// See it work: deploy, swap versions under load, kill the app, kill the daemon
    Demo(demo::Args),
    /// Check everything: format, house rules, lints, all tests, docs
    Test(test::Args),
    /// Check the house rules: layers, sizes, docs, what is forbidden
    Tidy,
    /// Measure: swaps under load, deploy overhead, recovery, the proxy, an idle daemon, the logs
    Bench(bench::Args),
    /// Look for inputs that break a parser, for as long as you say
    Fuzz(fuzz::Args),
    /// Have systemd check the units: whether they are valid, and how tight the daemon's sandbox is
    Units,
    /// Build the static test application and print where it is
    Testapp,
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Demo(args) => demo::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Fuzz(args) => fuzz::run(&args),
        Verb::Tidy => tidy::run(),
        Verb::Units => units::run(),
        Verb::Testapp => testapp::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
