//! `nextdeploy`: the command-line tool. Everything it does is in `nd-cli`; it must never know more than that.

use std::process::ExitCode;

fn main() -> ExitCode {
    nd_cli::run("nextdeploy")
}
