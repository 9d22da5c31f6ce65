//! `describe`: everything that is known about an app.

use nd_api::v1::{EventQuery, EventView};
use serde_json::Value;

use super::{Context, Outcome};
use crate::args::OneApp;
use crate::failure::{Exit, Failure};
use crate::render;
use crate::targets;

/// Starts among which the restarts are looked for.
const STARTS: u32 = 200;

/// Restarts that are shown.
const RESTARTS: usize = 10;

pub(super) async fn run(args: &OneApp, context: &Context<'_>) -> Outcome {
    let app = targets::one(args.app.as_deref(), args.name.as_deref(), context.global)?;
    let view = context.client.app(&app).await?;
    let output = context.output;
    if output.json {
        output.object(&view);
        return Ok(Exit::Ok);
    }
    let restarts = restarts(&view.name, context).await?;
    output.result(&render::describe::everything(&view, &restarts, output));
    Ok(Exit::Ok)
}

/// The last starts of instances that had run before, newest first.
async fn restarts(app: &nd_types::AppName, context: &Context<'_>) -> Result<Vec<EventView>, Failure> {
    let query = EventQuery {
        app: Some(app.clone()),
        kind: Some("instance.started".to_owned()),
        limit: Some(STARTS),
        ..EventQuery::default()
    };
    let mut events = context.client.events(&query).await?.items;
    events.retain(|event| event.data.get("restart").is_some_and(Value::is_string));
    events.truncate(RESTARTS);
    Ok(events)
}
