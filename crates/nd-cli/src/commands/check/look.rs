//! `check` of what runs: again and again, or once.

use std::time::Duration;

use nd_check::{Checker, Report, Round, Target};
use tokio::time::{MissedTickBehavior, interval};

use crate::args::{CheckArgs, Global};
use crate::commands::Outcome;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::render;
use crate::session;

/// The pause between two rounds: that of every sweep (the mission's own figure).
const EVERY: Duration = Duration::from_secs(30);

pub(super) async fn run(args: &CheckArgs, targets: Vec<Target>, global: &Global, output: &Output) -> Outcome {
    let client = session::client(global, output)?;
    let checker = Checker::new(client, targets, args.url.clone(), !args.no_restart);
    let mut interrupts = Interrupts::new()?;
    let mut tick = interval(args.interval.unwrap_or(EVERY));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        let round = async {
            tick.tick().await;
            checker.round().await
        };
        let round = tokio::select! {
            round = round => round,
            () = interrupts.pressed() => return Ok(Exit::Interrupted),
        };
        if !is_first && !output.json {
            output.result("");
        }
        if !shown(&round, args.once, output) {
            return Ok(Exit::Ok);
        }
        match ended(round) {
            end if args.once => return end,
            // What is wrong from the beginning was typed wrong; what goes wrong later may come right.
            Err(failure) if is_first => return Err(failure),
            Err(failure) => output.note(&failure.title),
            Ok(_) => {}
        }
        is_first = false;
    }
}

/// Prints what was found, where anything was. False: nobody reads any more.
fn shown(round: &Round, once: bool, output: &Output) -> bool {
    let report = &round.report;
    if round.daemon.is_some() && report.targets.is_empty() {
        return true;
    }
    match (output.json, once) {
        (true, true) => output.object(report),
        (true, false) => return output.line(report),
        (false, _) => return output.stream(&render::check::table(report, render::table::width(), output)),
    }
    true
}

/// What a script is told.
fn ended(round: Round) -> Outcome {
    if let Some(error) = round.daemon {
        return Err(error.into());
    }
    if let Some(failure) = unknown(&round.report) {
        return Err(failure);
    }
    Ok(if round.report.problems > 0 { Exit::Found } else { Exit::Ok })
}

fn unknown(report: &Report) -> Option<Failure> {
    let reasons: Vec<&str> = report.unknown().filter_map(|finding| finding.reason.as_deref()).collect();
    (!reasons.is_empty()).then(|| Failure::new(Exit::NotFound, reasons.join("; ")))
}
