//! `why`: what happened to an app and why, in one line of time.

use nd_api::v1::TimelineQuery;

use super::{Context, Outcome, logs};
use crate::args::WhyArgs;
use crate::failure::Exit;
use crate::render;
use crate::targets;

pub(super) async fn run(args: &WhyArgs, context: &Context<'_>) -> Outcome {
    let app = targets::one(args.app.app.as_deref(), args.app.name.as_deref(), context.global)?;
    let since = args.since.as_deref().map(|text| logs::time("--since", text)).transpose()?;
    let query = TimelineQuery { since, limit: Some(args.limit) };
    let timeline = context.client.timeline(&app, &query).await?;
    let output = context.output;
    if output.json {
        output.object(&timeline);
        return Ok(Exit::Ok);
    }
    let now = context.client.app(&app).await?;
    output.result(&render::timeline::all(&timeline, &now, output));
    Ok(Exit::Ok)
}
