//! `events`: the last ones, and with `--follow` what happens.

use std::time::Duration;

use futures_util::StreamExt;
use nd_api::v1::{EventQuery, EventView, Severity};
use tokio::time::sleep;

use super::{Context, Outcome};
use crate::args::EventsArgs;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::render::time;
use crate::targets;

/// The pause before asking a daemon again that went away.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(args: &EventsArgs, context: &Context<'_>) -> Outcome {
    let name = args.app.as_deref().or(args.name.as_deref());
    let app = name.map(targets::parse).transpose()?;
    let query = EventQuery { app, kind: args.kind.clone(), limit: Some(args.limit), ..EventQuery::default() };
    // Before the first line: who has read it may press Ctrl-C.
    let interrupts = args.follow.then(Interrupts::new).transpose()?;
    let mut page = context.client.events(&query).await?.items;
    page.reverse();
    let last = page.last().map(|event| event.id);
    for event in &page {
        if !print(event, context.output) {
            return Ok(Exit::Ok);
        }
    }
    if let Some(interrupts) = interrupts {
        // From 0 on where nothing has happened yet, so that nothing is missed in between.
        let query = EventQuery { after: last.or(Some(0)), limit: None, ..query };
        return follow(query, interrupts, context).await;
    }
    if page.is_empty() {
        context.output.note("nothing has happened yet");
    }
    Ok(Exit::Ok)
}

/// Goes on across restarts of the daemon, which keeps its events.
async fn follow(mut query: EventQuery, mut interrupts: Interrupts, context: &Context<'_>) -> Outcome {
    loop {
        match read(&mut query, &mut interrupts, context).await {
            Ok(Some(exit)) => return Ok(exit),
            Err(failure) if failure.exit != Exit::Unreachable => return Err(failure),
            Ok(None) | Err(_) => {}
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = interrupts.pressed() => return Ok(Exit::Interrupted),
        }
    }
}

/// Prints what happens until the daemon ends the stream, which answers nothing.
async fn read(
    query: &mut EventQuery,
    interrupts: &mut Interrupts,
    context: &Context<'_>,
) -> Result<Option<Exit>, Failure> {
    let mut events = context.client.follow_events(query).await?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = interrupts.pressed() => return Ok(Some(Exit::Interrupted)),
        };
        let Some(event) = event.transpose()? else { return Ok(None) };
        query.after = Some(event.id);
        if !print(&event, context.output) {
            return Ok(Some(Exit::Ok));
        }
    }
}

/// False: nobody reads any more.
fn print(event: &EventView, output: &Output) -> bool {
    if output.json {
        return output.line(event);
    }
    let kind = format!("{:<22}", event.kind);
    let kind = match event.severity {
        Severity::Info => output.dim(&kind),
        Severity::Warning => output.odd(&kind),
        Severity::Error => output.bad(&kind),
    };
    let unit = event.instance.as_ref().map(ToString::to_string);
    let place = unit.or_else(|| event.app.as_ref().map(ToString::to_string)).unwrap_or_default();
    let actor = event.actor.as_ref().map(|actor| format!(" (by {actor})")).unwrap_or_default();
    output.stream(&format!(
        "{} {kind} {place:<20} {}{actor}",
        output.dim(&time::date_clock(event.ts)),
        event.title
    ))
}
