//! `ls`.

use super::{Context, Outcome};
use crate::failure::Exit;
use crate::render;

pub(super) async fn run(context: &Context<'_>) -> Outcome {
    let apps = context.client.apps().await?;
    if context.output.json {
        context.output.list(&apps);
        return Ok(Exit::Ok);
    }
    if !apps.is_empty() {
        context.output.result(&render::app::apps(&apps, render::table::width(), context.output));
    }
    context.output.result(&format!("Monitoring {} applications", apps.len()));
    if apps.is_empty() {
        context.output.note("deploy one: nextdeploy deploy --name APP --image REF --port PORT");
    }
    Ok(Exit::Ok)
}
