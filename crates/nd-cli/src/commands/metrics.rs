//! `metrics`: what apps use of the machine, each of them or one with its instances.

use super::{Context, Outcome};
use crate::args::AppArg;
use crate::failure::Exit;
use crate::render;
use crate::targets;

pub(super) async fn run(args: &AppArg, context: &Context<'_>) -> Outcome {
    let output = context.output;
    let app = match args.word() {
        Some(name) => Some(targets::parse(name)?),
        None => match targets::of_project(context.global)?.as_slice() {
            [app] => Some(app.clone()),
            _ => None,
        },
    };
    let Some(app) = app else {
        let apps = context.client.apps().await?;
        if output.json {
            output.list(&apps);
        } else {
            output.result(&render::metrics::apps(&apps, output));
        }
        return Ok(Exit::Ok);
    };
    let view = context.client.app(&app).await?;
    if output.json {
        output.object(&view);
    } else {
        output.result(&render::metrics::one(&view, output));
    }
    Ok(Exit::Ok)
}
