//! `events`: the last ones, and with `--follow` what happens.

use futures_util::StreamExt;
use nd_api::v1::{EventQuery, EventView, Severity};

use super::{Context, Outcome};
use crate::args::EventsArgs;
use crate::failure::Exit;
use crate::output::Output;
use crate::render::time;
use crate::targets;

pub(super) async fn run(args: &EventsArgs, context: &Context<'_>) -> Outcome {
    let name = args.app.as_deref().or(args.name.as_deref());
    let app = name.map(targets::parse).transpose()?;
    let query = EventQuery { app, kind: args.kind.clone(), limit: Some(args.limit), ..EventQuery::default() };
    let mut page = context.client.events(&query).await?.items;
    page.reverse();
    let last = page.last().map(|event| event.id);
    for event in &page {
        if !print(event, context.output) {
            return Ok(Exit::Ok);
        }
    }
    if args.follow {
        // From 0 on where nothing has happened yet, so that nothing is missed in between.
        let query = EventQuery { after: last.or(Some(0)), limit: None, ..query };
        return follow(&query, context).await;
    }
    Ok(Exit::Ok)
}

async fn follow(query: &EventQuery, context: &Context<'_>) -> Outcome {
    let mut events = context.client.follow_events(query).await?;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
        let Some(event) = event else { return Ok(Exit::Ok) };
        if !print(&event?, context.output) {
            return Ok(Exit::Ok);
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
