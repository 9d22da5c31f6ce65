//! `requests`: the latest requests to an app, and with `--follow` those that come.

use futures_util::StreamExt;
use nd_api::v1::{RequestFrame, RequestQuery};

use super::{Context, Outcome};
use crate::args::RequestsArgs;
use crate::failure::Exit;
use crate::interrupt::Interrupts;
use crate::render;
use crate::targets;

pub(super) async fn run(args: &RequestsArgs, context: &Context<'_>) -> Outcome {
    let app = targets::one(args.app.app.as_deref(), args.app.name.as_deref(), context.global)?;
    let query = RequestQuery { tail: Some(args.lines), follow: args.follow };
    let mut interrupts = Interrupts::new()?;
    let mut frames = context.client.requests(&app, &query).await?;
    let output = context.output;
    let mut shown = 0_u64;
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            () = interrupts.pressed() => return Ok(Exit::Interrupted),
        };
        let Some(frame) = frame else { break };
        let goes_on = match &frame? {
            frame if output.json => output.line(frame),
            RequestFrame::Request(record) => output.stream(&render::requests::line(record, output)),
            RequestFrame::Gap => {
                output.note("some requests were skipped, this reader is too slow");
                true
            }
        };
        if !goes_on {
            return Ok(Exit::Ok);
        }
        shown += 1;
    }
    if shown == 0 {
        output.note("no request has come lately");
    }
    Ok(Exit::Ok)
}
