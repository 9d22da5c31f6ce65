//! `monit`: apps, their live lines and the host, full screen; without a terminal, or once, as plain rows.
//!
//! [`state`] is all that is known and all that a key does to it, without a terminal; [`draw`] makes a picture of it;
//! [`screen`] is the loop that brings in keys, figures and lines, and [`terminal`] gives the terminal back however it ends.

mod charts;
mod draw;
mod feed;
mod keys;
mod lines;
mod overlay;
mod plain;
mod screen;
mod signals;
mod state;
mod terminal;

use std::io::IsTerminal;

use crate::args::MonitArgs;
use crate::commands::{Context, Outcome};

pub(crate) async fn run(args: &MonitArgs, context: &Context<'_>) -> Outcome {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let has_screen = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !dumb;
    if args.once || context.output.json || !has_screen {
        return plain::run(args, context).await;
    }
    screen::run(args, context).await
}
