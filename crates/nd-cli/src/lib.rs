//! The commands of both binaries: arguments, what they ask of the daemon, and how the answer is shown.
//!
//! Entry point: [`run`]. The command tree stands in `args`, one file for each command in `commands`, what is read from
//! the user's project in `project`, and everything that is printed goes through `output` and `render`: results on
//! standard output, all else on standard error.
//!
//! Must never know the core, or any way to the daemon but `nd-client`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what commands are for")]

mod args;
mod candidates;
mod commands;
mod cursors;
mod explain;
mod failure;
mod github;
mod interrupt;
mod keys;
mod monit;
mod output;
mod project;
mod render;
mod run;
mod session;
mod targets;
mod trust;
mod typed;
mod watch;

pub use run::run;
