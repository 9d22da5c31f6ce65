//! `status`: one app with its instances and last lines; all of them without a name.

use super::{Context, Outcome, list, workers};
use crate::args::{ListArgs, StatusArgs};
use crate::failure::Exit;
use crate::render;
use crate::render::log::LogStyle;
use crate::targets;

pub(super) async fn run(args: &StatusArgs, context: &Context<'_>) -> Outcome {
    if args.workers {
        return workers::run(context).await;
    }
    let app = match args.app.word() {
        Some(name) => targets::parse(name)?,
        None => match targets::of_project(context.global)?.as_slice() {
            [app] => app.clone(),
            _ => return list::run(&ListArgs::default(), context).await,
        },
    };
    let view = context.client.app(&app).await?;
    let output = context.output;
    if output.json {
        output.object(&view);
        return Ok(Exit::Ok);
    }
    output.result(&render::app::one(&view, output));
    if !view.logs.is_empty() {
        output.result("");
        for line in &view.logs {
            let style = LogStyle { raw: false, time: true };
            output.result(&format!("  {}", render::log::line(line, style, output)));
        }
    }
    Ok(Exit::Ok)
}
