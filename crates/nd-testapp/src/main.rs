//! Runs the test application; the crate's library documents its paths and its faults.
#![allow(clippy::print_stderr, reason = "a process that cannot start has only stderr to say why")]

use std::process::ExitCode;

use nd_testapp::settings::Settings;
use nd_testapp::{children, faults, server};

fn main() -> ExitCode {
    if let Some(role) = std::env::args().nth(1) {
        return children::play(&role);
    }
    let settings = match Settings::from_env(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("testapp: {error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = faults::begin(&settings) {
        eprintln!("testapp: {error}");
        return ExitCode::FAILURE;
    }
    match server::run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testapp: {error}");
            ExitCode::FAILURE
        }
    }
}
